# Stands in for apache/kafka: Kafka's jars from Maven, read by the class with which that image reads its
# environment; the same user, folders and port.
FROM list-sync-debian/base
RUN apt-get update \
 && apt-get install --yes --no-install-recommends default-jre-headless \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 1000 --create-home appuser \
 && mkdir -p /opt/kafka/config /opt/kafka/logs /etc/kafka/docker /mnt/shared/config /var/lib/kafka/data
COPY libs /opt/kafka/libs
COPY kafka.sh /etc/kafka/docker/run
COPY kafka.log4j.properties /etc/kafka/docker/log4j.properties
RUN cp /etc/kafka/docker/log4j.properties /etc/kafka/docker/tools-log4j.properties \
 && touch /etc/kafka/docker/server.properties \
 && chmod -R a+rX /opt/kafka /etc/kafka \
 && chmod 755 /etc/kafka/docker/run \
 && chown -R appuser:appuser /opt/kafka/config /opt/kafka/logs /mnt/shared/config /var/lib/kafka
USER appuser
CMD ["/etc/kafka/docker/run"]

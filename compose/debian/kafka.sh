#!/bin/bash
# Makes the settings from the environment, formats a new data folder, and is the broker.
set -eu
java=(java ${KAFKA_HEAP_OPTS:--Xmx512m} -XX:TieredStopAtLevel=1 -XX:-UsePerfData -cp '/opt/kafka/libs/*')
log=-Dlog4j.configuration=file:/opt/kafka/config/log4j.properties
config=/opt/kafka/config
made=$("${java[@]}" kafka.docker.KafkaDockerWrapper setup --default-configs-dir /etc/kafka/docker \
  --mounted-configs-dir /mnt/shared/config --final-configs-dir "$config" 2>&1) ||
  grep -q 'already formatted' <<< "$made" || { echo "$made"; exit 1; }
exec "${java[@]}" "$log" kafka.Kafka "$config/server.properties"

"""Kafka to CSV as one writes it in Python: reads a topic of row changes to its end."""

import csv
import json
import os
import sys
import time
import uuid

from confluent_kafka import Consumer, KafkaError, KafkaException

BATCH = 10_000
META = ["__op", "__position"]

asked = json.loads(sys.argv[1])
began = time.perf_counter()
consumer = Consumer(
    {
        "bootstrap.servers": ",".join(asked["brokers"]),
        "group.id": str(uuid.uuid4()),
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        # The library's default is to wait for 1 byte; its queue holds 64 MB of records.
        "fetch.max.bytes": 50 << 20,
        "max.partition.fetch.bytes": 1 << 20,
    }
)
assigned = []
consumer.subscribe([asked["topic"]], on_assign=lambda _, partitions: assigned.extend(partitions))

os.makedirs(asked["output"], exist_ok=True)
inserts_file = open(os.path.join(asked["output"], "inserts.csv"), "w", newline="")
deletes_file = open(os.path.join(asked["output"], "deletes.csv"), "w", newline="")
inserts, deletes = csv.writer(inserts_file), csv.writer(deletes_file)

records = 0
ended = 0
columns = None
while not assigned or ended < len(assigned):
    for message in consumer.consume(BATCH, timeout=0.1):
        error = message.error()
        if error is not None:
            if error.code() != KafkaError._PARTITION_EOF:
                raise KafkaException(error)
            ended += 1
            continue
        records += 1
        change = json.loads(message.value())
        op, position = change["op"], change["source"]["position"]
        before, after = change["before"], change["after"]
        if columns is None:
            columns = list(after)
            inserts.writerow(META + columns)
            deletes.writerow(META + columns)
        if op in ("u", "d"):
            deletes.writerow([op, position, *(before[column] for column in columns)])
        if op in ("c", "r", "u"):
            inserts.writerow([op, position, *(after[column] for column in columns)])

for file in (inserts_file, deletes_file):
    file.flush()
    os.fsync(file.fileno())
    file.close()
consumer.commit(asynchronous=False)
consumer.close()
print(json.dumps({"seconds": time.perf_counter() - began, "records": records}))

#!/usr/bin/env bash
# Guess: reading an object whole asks the server once.
# Version: s3fs 2026.9.0, moto 5.2.3 as the server.
# Behaviour: cat asks HEAD before each GET, to cut large objects into parts, unless its folder was listed; max_concurrency=1 leaves that out. A first fetch of many small objects so takes twice the requests.
# Seen: ten objects take 10 HEAD and 10 GET, and with max_concurrency=1 only 10 GET.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet s3fs==2026.9.0 'moto[server]==5.2.3'
export AWS_ACCESS_KEY_ID=a AWS_SECRET_ACCESS_KEY=a AWS_DEFAULT_REGION=us-east-1

venv/bin/python -W ignore - <<'PYTHON'
import logging
from collections import Counter

import s3fs
from moto.server import DomainDispatcherApplication, ThreadedMotoServer, create_backend_app

logging.getLogger("werkzeug").setLevel("ERROR")
asked = Counter()
call = DomainDispatcherApplication.__call__


def counted(self, environ, start_response):
    asked[environ["REQUEST_METHOD"]] += 1
    return call(self, environ, start_response)


DomainDispatcherApplication.__call__ = counted
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
server.start()
address = "http://127.0.0.1:{}".format(server.get_host_and_port()[1])
store = s3fs.S3FileSystem(endpoint_url=address, skip_instance_cache=True)
store.mkdir("bucket")
for number in range(10):
    store.pipe(f"bucket/{number}.png", b"x" * 1_000)
found = {}
for options in ({}, {"max_concurrency": 1}):
    reader = s3fs.S3FileSystem(endpoint_url=address, skip_instance_cache=True, **options)
    asked.clear()
    reader.cat([f"bucket/{number}.png" for number in range(10)])
    found[str(options)] = dict(sorted(asked.items()))
server.stop()
print(found)
assert found == {"{}": {"GET": 10, "HEAD": 10}, "{'max_concurrency': 1}": {"GET": 10}}, "changed"
PYTHON

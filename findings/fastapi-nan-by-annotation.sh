#!/usr/bin/env bash
# Guess: whether an answer may hold NaN does not depend on the annotation of the function that returns it.
# Version: fastapi 0.150.0, pydantic 2.14.3, httpx2 2.16.2.
# Behaviour: with a return type the answer is written by pydantic, which puts null for NaN and infinity, also where the type is float; without one it is written by Python's json, which refuses: status 500.
# Seen: {"fid": nan, "loss": inf} gives 500 without annotation, and {"fid":null,"loss":null} with status 200 as dict[str, float], whose published schema says number.
# Meaning: a service that reports the measures of a diverged model breaks, or answers outside its own schema, depending on a type hint.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet fastapi==0.150.0 pydantic==2.14.3 httpx2==2.16.2

venv/bin/python -W ignore - <<'PYTHON'
from fastapi import FastAPI
from fastapi.testclient import TestClient

app = FastAPI()


@app.get("/plain")
def plain():
    return {"fid": float("nan"), "loss": float("inf")}


@app.get("/typed")
def typed() -> dict[str, float]:
    return {"fid": float("nan"), "loss": float("inf")}


client = TestClient(app, raise_server_exceptions=False)
without, with_type = client.get("/plain"), client.get("/typed")
answer = app.openapi()["paths"]["/typed"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
print("without:", without.status_code, "with:", with_type.status_code, with_type.text, answer["additionalProperties"])
assert without.status_code == 500 and with_type.status_code == 200, "changed: both answer alike"
assert with_type.json() == {"fid": None, "loss": None} and answer["additionalProperties"] == {"type": "number"}
PYTHON

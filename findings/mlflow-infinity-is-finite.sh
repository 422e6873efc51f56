#!/usr/bin/env bash
# Guess: a metric logged as inf is read as inf, and a run whose metric is NaN is found by no comparison, or by all.
# Version: mlflow 3.17.2, SQLite store.
# Behaviour: inf is stored as 1.797e308, so math.isfinite says yes of a diverged run. NaN is kept, but of the filters only "!=" finds it: neither fid < 10 nor fid >= 10 lists the run.
# Seen: 1.7976931348623157e+308; the run with NaN in "!=" alone.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet mlflow==3.17.2
export MLFLOW_DISABLE_TELEMETRY=true

venv/bin/python -W ignore - <<'PYTHON'
import math

from mlflow import MlflowClient

client = MlflowClient("sqlite:///mlflow.db")
experiment = client.create_experiment("x")
for name, value in (("good", 5.0), ("nan", math.nan), ("inf", math.inf)):
    client.log_metric(client.create_run(experiment, run_name=name).info.run_id, "fid", value)
found = {sign: sorted(run.info.run_name for run in client.search_runs([experiment], f"metrics.fid {sign} 10")) for sign in ("<", ">=", "!=")}
runs = {run.info.run_name: run.data.metrics["fid"] for run in client.search_runs([experiment])}
print(runs, found)
assert math.isfinite(runs["inf"]) and math.isnan(runs["nan"]), "changed: infinity"
assert found == {"<": ["good"], ">=": ["inf"], "!=": ["good", "inf", "nan"]}, "changed: filters"
PYTHON

#!/usr/bin/env bash
# Guess: run.data.metrics holds the value that was logged last.
# Version: mlflow 3.17.2, SQLite store.
# Behaviour: it holds the one of the highest step, whenever that was logged; of one step the one of the latest millisecond, and of one millisecond the largest value. log_metrics() and log_batch() give all of their values one millisecond.
# Seen: 9 at step 900 and then 5 at step 500 is 9; 9 and then 5 without steps, in one millisecond, is 9 too; get_metric_history() has both.
# Meaning: a run that was taken up from an earlier checkpoint shows and sorts by what it did before it broke off, until it gets past that step; a "best so far" without a step that is written in quick succession stays at its worst.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet mlflow==3.17.2
export MLFLOW_DISABLE_TELEMETRY=true

venv/bin/python -W ignore - <<'PYTHON'
import mlflow

client = mlflow.MlflowClient("sqlite:///store.db")
run = client.create_run(client.create_experiment("latest", artifact_location="artifacts")).info.run_id
client.log_metric(run, "resumed", 9.0, step=900, timestamp=1000)
client.log_metric(run, "resumed", 5.0, step=500, timestamp=2000)
client.log_metric(run, "best", 9.0, timestamp=1000)
client.log_metric(run, "best", 5.0, timestamp=1000)
client.log_metric(run, "later", 9.0, timestamp=1000)
client.log_metric(run, "later", 5.0, timestamp=1001)
latest = client.get_run(run).data.metrics
print(latest, [metric.value for metric in client.get_metric_history(run, "resumed")])
assert latest["later"] == 5
assert latest["resumed"] == latest["best"] == 9, "changed: the last one logged is the latest"
PYTHON

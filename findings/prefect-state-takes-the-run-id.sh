#!/usr/bin/env bash
# Guess: the client's set_flow_run_state sends a State to the server and leaves the object as it was, so a flow may set a state and return it, with its message.
# Version: prefect 3.8.8.
# Behaviour: the sync client writes the run's id and a transition's id into the state_details of the State that it is given. A flow that then returns this State is taken for one that returns the state of another run, and its end is named by a count, not by the message.
# Seen: the run whose flow sets and returns Cancelled(message="no champion") ends as "1/1 states cancelled."; one that returns a State of its own ends as "no champion".
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet prefect==3.8.8 fastapi==0.150.0

cat > told.py <<'PYTHON'
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.context import get_run_context
from prefect.states import Cancelled

ids = []


@flow
def stopped(same: bool):
    run = get_run_context().flow_run.id
    ids.append(run)
    state = Cancelled(message="no champion")
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run, state, force=True)
    assert (state.state_details.flow_run_id == run) is True, "changed: the State given is left as it was"
    return state if same else Cancelled(message="no champion")


messages = {}
for same in (True, False):
    messages[same] = stopped(same, return_state=True).message
print("the State that was sent:", repr(messages[True]), "| a State of its own:", repr(messages[False]))
assert messages == {True: "1/1 states cancelled.", False: "no champion"}, "changed"
PYTHON
PREFECT_HOME="$folder/prefect" PREFECT_SERVER_ANALYTICS_ENABLED=false DO_NOT_TRACK=1 PREFECT_LOGGING_LEVEL=CRITICAL venv/bin/python -W ignore told.py

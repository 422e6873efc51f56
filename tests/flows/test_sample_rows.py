"""`gantry sample` of rows that are so, as a person asks for them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import planted_table
from command_line import called
from row_generator import untrained

from gan_core.kinds.schema import Schema
from tasks.scaffold import init_workspace


def test_rows_are_as_they_were_asked_for_and_the_rate_is_said(tmp_path: Path) -> None:
    workspace = init_workspace(tmp_path)
    rows, labels = planted_table.rows(400)
    untrained(Schema(planted_table.COLUMNS, "bought"), rows, planted_table.CLASSES, labels).save(tmp_path / "generator")
    asked = ["--where", "bought=yes,colour=red", "--where", "age>=50", "--count", "50", "--out", "rows.csv"]
    made = called(workspace, "sample", "--from", "generator", *asked)
    assert made.returncode == 0, made.stderr
    frame = pd.read_csv(tmp_path / "rows.csv")
    assert made.stdout == "50 rows in rows.csv\n"
    assert (len(frame), set(frame["bought"]), set(frame["colour"]), bool((frame["age"] >= 50).all())) == (50, {"yes"}, {"red"}, True)
    drawn, share = made.stderr.removeprefix("note: ").split(" rows were drawn for 50 that are so (")
    np.testing.assert_allclose(50 / int(drawn.replace(",", "")), float(share.split("%")[0]) / 100, atol=5e-5)
    told = called(workspace, "sample", "--from", "generator", "--count", "1", "--out", "new/rows.csv", "--json")
    assert json.loads(told.stdout) == {"name": tmp_path.name, "version": None, "count": 1, "out": "new/rows.csv", "signed": 0}
    assert told.stderr == "note: new is not there yet, and is made\n"
    assert called(workspace, "sample", "--from", "generator", "--count", "1", "--out", "new/rows.csv").stdout == "1 row in new/rows.csv\n"
    wrong = called(workspace, "sample", "--from", "generator", "--where", "colour=rde", "--out", "rows.csv")
    assert (wrong.returncode, wrong.stderr) == (2, "error: where: colour is never 'rde'; there are blue, green, red\n")

#!/usr/bin/env bash
# Guess: an expectation whose row_condition selects no row, or whose column is all null, fails or says that nothing was checked; "match regex" is re.match; the median is the quantile 0.5.
# Version: great-expectations 1.24.1, pandas.
# Behaviour: no rows and no values are a success. The regex is searched anywhere in the text. Quantiles are taken "nearest", the median between the two middle values.
# Seen: success for x >= 100 over no row and over nulls; "abc1" matches "[0-9]"; of 1, 2, 3, 4 the median is 2.5, the quantile 0.5 is 3.0.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet great_expectations==1.24.1
export GX_ANALYTICS_ENABLED=false

venv/bin/python -W ignore - <<'PYTHON'
import great_expectations as gx
import great_expectations.expectations as expect
import pandas as pd

context = gx.get_context(mode="ephemeral")
context.variables.progress_bars = {"globally": False}
frame = pd.DataFrame({"x": [1.0, 2.0, 3.0, 4.0], "void": [float("nan")] * 4, "name": ["abc1", "x2", "y3", "z4"]})
asset = context.data_sources.add_pandas("pandas").add_dataframe_asset("frame")
batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
no_row = batch.validate(expect.ExpectColumnValuesToBeBetween(column="x", min_value=100, row_condition='name=="none"', condition_parser="pandas"))
nulls = batch.validate(expect.ExpectColumnValuesToBeBetween(column="void", min_value=100))
regex = batch.validate(expect.ExpectColumnValuesToMatchRegex(column="name", regex="[0-9]"))
median = batch.validate(expect.ExpectColumnMedianToBeBetween(column="x", min_value=0)).result["observed_value"]
ranges = {"quantiles": [0.5], "value_ranges": [[0, 9]]}
quantile = batch.validate(expect.ExpectColumnQuantileValuesToBeBetween(column="x", quantile_ranges=ranges)).result["observed_value"]["values"][0]
print("no row:", no_row.success, "nulls:", nulls.success, "regex:", regex.success, "median:", float(median), "quantile:", float(quantile))
assert no_row.success and nulls.success and regex.success, "changed"
assert (median, quantile) == (2.5, 3.0), "changed"
PYTHON

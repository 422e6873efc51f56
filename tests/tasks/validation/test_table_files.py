"""Other files that tables come in: read as the same CSV is, or refused by name with what to do."""

from __future__ import annotations

import io
import zipfile
from datetime import date
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import feather, orc

from gan_core.errors import DataError
from tasks.params import DataParams
from tasks.sources import open_source
from tasks.validation import table_files
from tasks.validation.table_files import read_table
from tasks.workspace import Workspace

COLUMNS = {
    "n": [1, 2, None], "x": [0.5, 1.0, 2.25], "c": ["a", "b, c", "d;e"], "b": [True, False, None],
    "day": [date(2020, 1, 31), None, date(2021, 2, 1)],
}  # fmt: skip
ROWS = [(1, 0.5, "a", True, date(2020, 1, 31)), (2, 1.0, "b, c", False, None), (None, 2.25, "d;e", None, date(2021, 2, 1))]


def written(suffix: str) -> bytes:
    file, table = io.BytesIO(), pa.table(COLUMNS)
    if suffix == ".feather":
        feather.write_feather(table, file, compression="zstd")
    elif suffix == ".orc":
        orc.write_table(table, file)
    else:
        return ("\ufeff" + 'n\tx,y\tc\n1\t0.5\tb, c\n\t2.25\t"d\te"\n').encode()
    return file.getvalue()


@pytest.mark.parametrize("suffix", [".feather", ".orc"])
def test_feather_and_orc(suffix: str) -> None:
    cells = read_table(written(suffix), f"t{suffix}")
    assert (cells.names, cells.rows, cells.unreadable) == (tuple(COLUMNS), ROWS, {})


def test_tabs_part_the_columns_of_a_tsv_whatever_its_names() -> None:
    cells = read_table(written(".tsv"), "T.TSV")
    assert (cells.names, cells.rows, cells.notes) == (("n", "x,y", "c"), [("1", "0.5", "b, c"), ("", "2.25", "d\te")], ())


def workbook(sheets: dict[str, list[list[object]]]) -> bytes:
    """A workbook of Excel as programs write it, with numbers, texts, booleans and days by style."""
    package, relations = (f"http://schemas.openxmlformats.org/package/2006/{what}" for what in ("content-types", "relationships"))
    of = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    main = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    a_book = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"
    kinds = {
        "[Content_Types].xml": f'<Types xmlns="{package}"><Default Extension="rels" ContentType="application/xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{a_book}"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{relations}"><Relationship Id="r" Type="{of}/officeDocument" Target="xl/workbook.xml"/>'
        "</Relationships>",
        "xl/styles.xml": f'<styleSheet {main}><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs></styleSheet>',
    }
    entries, links = [], [f'<Relationship Id="s" Type="{of}/styles" Target="styles.xml"/>']
    for number, (name, rows) in enumerate(sheets.items(), start=1):
        entries.append(f'<sheet name="{name}" sheetId="{number}" r:id="r{number}"/>')
        links.append(f'<Relationship Id="r{number}" Type="{of}/worksheet" Target="worksheets/{number}.xml"/>')
        lines = []
        for i, row in enumerate(rows, start=1):
            lines.append(f'<row r="{i}">' + "".join(_cell(value, f"{'ABCDEF'[k]}{i}") for k, value in enumerate(row)) + "</row>")
        kinds[f"xl/worksheets/{number}.xml"] = f"<worksheet {main}><sheetData>{''.join(lines)}</sheetData></worksheet>"
    kinds["xl/workbook.xml"] = f'<workbook {main} xmlns:r="{of}"><sheets>{"".join(entries)}</sheets></workbook>'
    kinds["xl/_rels/workbook.xml.rels"] = f'<Relationships xmlns="{relations}">{"".join(links)}</Relationships>'
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, text in kinds.items():
            packed.writestr(name, text)
    return file.getvalue()


def _cell(value: object, at: str) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return f'<c r="{at}" t="inlineStr"><is><t>{value}</t></is></c>'
    if isinstance(value, bool):
        return f'<c r="{at}" t="b"><v>{int(value)}</v></c>'
    if isinstance(value, date):
        return f'<c r="{at}" s="1"><v>{(value - date(1899, 12, 30)).days}</v></c>'
    return f'<c r="{at}"><v>{value}</v></c>'


class TestExcel:
    pytest.importorskip("python_calamine")

    def test_the_first_sheet_is_read_with_its_types(self) -> None:
        rows = [list(COLUMNS), *map(list, ROWS)]
        cells = read_table(workbook({"Data": rows, "Notes": [["more"], ["x"]]}), "t.xlsx")
        assert (cells.names, cells.notes) == (tuple(COLUMNS), ("2 sheets; the first one, Data, is read",))
        assert list(cells.rows) == ROWS

    def test_what_is_none_is_refused(self) -> None:
        with pytest.raises(DataError, match=r"t\.xlsx: no readable file of Excel \(.*\); save it as CSV"):
            read_table(b"PK\x03\x04 and no more", "t.xlsx")
        with pytest.raises(DataError, match=r"t\.xlsx: is empty"):
            read_table(workbook({"Data": []}), "t.xlsx")
        with pytest.raises(DataError, match=r"its first row holds values"):
            read_table(workbook({"Data": [[1, 2.5], [2, 3.5]]}), "t.xlsx")

    def test_what_unpacks_to_too_much_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(table_files, "_MOST_UNPACKED", 1_000)
        with pytest.raises(DataError, match=r"t\.xlsx: holds more than 1,000 bytes unpacked; save it as CSV"):
            read_table(workbook({"Data": [["a"]]}), "t.xlsx")


@pytest.mark.parametrize(("suffix", "what"), [(".feather", "Feather"), (".orc", "ORC")])
def test_a_damaged_file_is_refused(suffix: str, what: str) -> None:
    data = written(suffix)
    with pytest.raises(DataError, match=rf"t{suffix}: no readable {what} file \("):
        read_table(data[: len(data) // 2], f"t{suffix}")


def test_too_many_cells_are_refused_before_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_files, "MOST_CELLS", 14)
    for suffix in (".feather", ".orc"):
        with pytest.raises(DataError, match=r"has 15 cells, and at most 14 are read"):
            read_table(written(suffix), f"t{suffix}")


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("t.txt", "name it .csv where its columns are parted by commas"),
        ("t.csv.gz", "it is packed; unpack it and name the file in it"),
        ("t.jsonl", "read it with pandas, and save it with to_parquet"),
        ("t.sqlite", "save it as CSV or Parquet from the program that wrote it"),
        ("t", "the forms of table that are read are .csv, .tsv, .parquet, .feather, .orc, .xlsx"),
    ],
)
def test_other_files_are_refused_by_name_with_what_to_do(tmp_path: Path, name: str, advice: str) -> None:
    (tmp_path / name).write_bytes(b"a,b\n1,2\n")
    with pytest.raises(DataError, match=rf"{name} is no table that is read here: ") as refused:
        open_source(Workspace(tmp_path), DataParams(source=f"table://{name}")).look()
    assert advice in str(refused.value)


@pytest.mark.parametrize("suffix", [".tsv", ".feather", ".orc"])
def test_a_source_of_each_form(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"t{suffix}").write_bytes(written(suffix))
    source = open_source(Workspace(tmp_path), DataParams(source=f"table://t{suffix}"))
    assert ([file.path for file in source.look()], source.check()) == ([f"table{suffix}"], 2 if suffix == ".tsv" else 3)


def test_pandas_reads_what_we_call_feather(tmp_path: Path) -> None:
    (tmp_path / "t.feather").write_bytes(written(".feather"))
    assert list(pd.read_feather(tmp_path / "t.feather")) == list(COLUMNS)

import csv
import json

import pyarrow as pa
import pytest
from pyarrow import parquet

from datamodules import table_file

ROWS = [("a", "1"), ('say "so"', "naïve 中"), ("2020-01-01", "NA"), ("tab-free", "null")]


def write(path, rows, names=None):
    """As Python's own writers do."""
    if path.suffix == ".parquet":
        parquet.write_table(pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))), path)
    elif path.suffix == ".jsonl":
        lines = [json.dumps(dict(zip(names, row, strict=True))) for row in rows]
        path.write_text("\n".join(lines) + "\n")
    elif path.suffix == ".csv":
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([names, *rows] if names else rows)
    else:
        lines = ["\t".join(row) for row in ([names, *rows] if names else rows)]
        path.write_text("\n".join(lines) + "\n")
    return str(path)


@pytest.mark.parametrize("suffix", table_file.SUFFIXES)
def test_rows_come_back_as_they_were(suffix, tmp_path):
    """What looks like a date, a number or nothing is text, where text was written."""
    file = write(tmp_path / f"rows{suffix}", ROWS, ["from", "to"])
    assert table_file.column_names(file, named=True) == ["from", "to"]
    table = table_file.read(file, ["to", "from"], named=True)
    assert table.column_names == ["to", "from"]
    assert list(zip(table["from"].to_pylist(), table["to"].to_pylist(), strict=True)) == ROWS


@pytest.mark.parametrize("suffix", table_file.SUFFIXES)
def test_a_column_of_dates_is_text(suffix, tmp_path):
    file = write(tmp_path / f"rows{suffix}", [("first", "2020-01-01"), ("second", "1999-12-31")], ["from", "to"])
    assert table_file.read(file, ["to"], named=True)["to"].to_pylist() == ["2020-01-01", "1999-12-31"]


@pytest.mark.parametrize("suffix", [".tsv", ".csv"])
def test_without_names_the_first_line_is_a_row(suffix, tmp_path):
    file = write(tmp_path / f"rows{suffix}", ROWS)
    assert table_file.column_names(file, named=False) == ["1", "2"]
    table = table_file.read(file, ["2", "1"], named=False)
    assert list(zip(table["1"].to_pylist(), table["2"].to_pylist(), strict=True)) == ROWS


def test_a_byte_order_mark_and_other_line_ends_are_no_text(tmp_path):
    path = tmp_path / "rows.tsv"
    path.write_bytes("a\tb\r\nc\td\r\n".encode("utf-8-sig"))
    assert table_file.read(str(path), ["1", "2"], named=False).to_pydict() == {"1": ["a", "c"], "2": ["b", "d"]}


def test_quoted_values_may_hold_anything(tmp_path):
    rows = [("a,b", "two\nlines"), ('say "so"', "")]
    file = write(tmp_path / "rows.csv", rows, ["from", "to"])
    table = table_file.read(file, ["from", "to"], named=True)
    assert list(zip(table["from"].to_pylist(), table["to"].to_pylist(), strict=True)) == rows

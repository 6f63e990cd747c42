"""One file of rows and columns: Parquet, JSON lines (.jsonl), tab-separated (.tsv) or comma-separated (.csv) values.

Values of the latter two are text. Tab-separated values know no quotes: text holds single ones. Their columns have
names where `named` says that the first line holds these, and are otherwise called "1", "2", ...
"""

from pathlib import Path

import pyarrow as pa
from pyarrow import csv, json, parquet

SUFFIXES = (".parquet", ".jsonl", ".tsv", ".csv")


def column_names(file: str, named: bool) -> list[str]:
    """Names of the columns. Raises pyarrow's errors for a file that cannot be read."""
    suffix = Path(file).suffix
    if suffix == ".parquet":
        return parquet.read_schema(file).names
    if suffix == ".jsonl":
        return json.read_json(file).schema.names
    with csv.open_csv(file, _first_line(named), _separated(file)) as reader:
        names = reader.schema.names
    return names if named else [str(number + 1) for number in range(len(names))]


def read(file: str, columns: list[str], named: bool) -> pa.Table:
    """These columns, which must be there. Raises pyarrow's errors for a file that cannot be read."""
    suffix = Path(file).suffix
    if suffix == ".parquet":
        with parquet.ParquetFile(file) as opened:
            return opened.read(columns).select(columns)
    if suffix == ".jsonl":
        # Left to itself, pyarrow makes points in time of text that looks like a date.
        kinds = {field.name: field.type for field in json.read_json(file).schema}
        text = {name: pa.string() for name in columns if pa.types.is_timestamp(kinds[name])}
        schema = pa.schema([(name, text.get(name, kinds[name])) for name in columns])
        options = json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
        return json.read_json(file, parse_options=options).select(columns)
    names = columns if named else [f"f{int(name) - 1}" for name in columns]
    options = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), include_columns=names)
    return csv.read_csv(file, _first_line(named), _separated(file), options).rename_columns(columns)


def _first_line(named: bool) -> csv.ReadOptions:
    return csv.ReadOptions(autogenerate_column_names=not named)


def _separated(file: str) -> csv.ParseOptions:
    tabs = Path(file).suffix == ".tsv"
    if tabs:
        return csv.ParseOptions(delimiter="\t", quote_char=False)
    return csv.ParseOptions(newlines_in_values=True)

from pydoc_data.topics import topics

import pyarrow as pa
import pytest
from pyarrow import parquet

from datamodules.documents import PYDOC, read_documents, text_files
from datamodules.sentences import read_text


def test_topics_are_documents():
    documents = read_documents(PYDOC)
    assert len(documents) == len(topics)
    assert topics["with"] in documents
    assert read_text(PYDOC) == "\n\n".join(documents)


def test_a_file_a_folder_of_files_and_a_column(tmp_path):
    for name in ("b", "a"):
        (tmp_path / f"{name}.txt").write_text(f"text {name}")
    assert read_documents(str(tmp_path / "a.txt")) == ["text a"]
    assert read_documents(str(tmp_path)) == ["text a", "text b"]
    rows = tmp_path / "rows.parquet"
    parquet.write_table(pa.table({"text": ["one", None, "two"], "body": ["x", "y", "z"]}), rows)
    assert text_files(str(rows)) == []
    assert read_documents(str(rows)) == ["one", "two"]
    assert read_documents(str(rows), column="body") == ["x", "y", "z"]


def test_a_readme_says_what_a_folder_holds(tmp_path):
    (tmp_path / "LICENSE.txt").write_text("all rights")
    (tmp_path / "words.txt").write_text("one\ntwo\n")
    (tmp_path / "README.md").write_text("---\nconfigs:\n- config_name: default\n  data_files: words.txt\n---\n")
    assert read_documents(str(tmp_path)) == ["one", "two"]


def test_a_missing_column_is_named(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"body": "x"}\n')
    with pytest.raises(ValueError, match="lacks the column text; it has body"):
        read_documents(str(path))

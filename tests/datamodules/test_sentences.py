import pytest
from datasets import Dataset

from datamodules.sentences import plain, read_text, sentences
from datamodules.tokenization import ALPHABET


def test_quotes_and_dashes_become_those_of_ascii():
    assert plain("“It’s ‘so’ – isn’t it…”\xa0A\u2011B\u200b") == "\"It's 'so' - isn't it...\" A-B"
    assert plain(ALPHABET) == ALPHABET


def test_a_byte_order_mark_is_no_text(tmp_path):
    path = tmp_path / "book.txt"
    path.write_text("The first sentence counts.", encoding="utf-8-sig")
    assert sentences(read_text(str(path))) == ["The first sentence counts."]


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_a_file_in_another_encoding_is_named(encoding, tmp_path):
    path = tmp_path / "book.txt"
    path.write_text("Café au lait.", encoding=encoding)
    with pytest.raises(ValueError, match=r"book\.txt is not in UTF-8.*save it in UTF-8"):
        read_text(str(path))


def test_rows_without_text_are_left_out_and_other_things_named(tmp_path):
    path = str(tmp_path / "rows.parquet")
    Dataset.from_dict({"text": ["One.", None, "Two."]}).to_parquet(path)
    assert read_text(path) == "One.\n\nTwo."
    Dataset.from_dict({"text": [1, 2]}).to_parquet(path)
    with pytest.raises(ValueError, match="holds something else than text"):
        read_text(path)

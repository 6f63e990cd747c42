"""Free text out of files: the documents of a source, each a text of its own."""

from pathlib import Path
from pydoc_data.topics import topics

from datamodules import sources, table_file

PYDOC = "pydoc"


def read_documents(source: str, split: str = "train", column: str = "text") -> list[str]:
    """The documents of a source.

        "pydoc"                     the language reference that every Python carries, a document for each topic
        a text file                 one document
        a folder of .txt files      a document for each, where no README says what its data are
        rows with a column of text  a document for each row that has one (`datamodules.sources`)

    Args:
        source: where they are.
        split: of the rows; all other sources are "train".
        column: of the rows.

    Raises FileNotFoundError where there is nothing at the source, ValueError where it is not text in UTF-8.
    """
    if source == PYDOC:
        return [topics[name] for name in sorted(topics)]
    if files := text_files(source):
        return [_read(file) for file in files]
    texts = [text for text in sources.load(source, split, [column])[column] if text is not None]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError(f"the column {column} of {source} holds something else than text")
    return texts


def text_files(source: str) -> list[Path]:
    """The text files of a source: itself, those in a folder of .txt files, or none."""
    place = Path(sources.resolve(source))
    if place.is_file():
        return [] if place.name.endswith(table_file.SUFFIXES) else [place]
    return sorted(place.glob("*.txt")) if place.is_dir() and not (place / "README.md").exists() else []


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")  # a byte order mark is not text
    except UnicodeDecodeError as error:
        raise ValueError(f"the text file {file} is not in UTF-8: {error}; save it in UTF-8") from error

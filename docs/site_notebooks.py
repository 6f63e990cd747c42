"""The notebooks as pages of the site, with what their cells printed and drew where `make notebooks` has run them.

A notebook that was not run, or whose code has changed since, is shown without outputs.
"""

from base64 import b64decode
from pathlib import Path

import jupytext
import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from nbconvert import MarkdownExporter
from nbformat import NotebookNode
from traitlets.config import Config

ROOT = Path(__file__).parents[1]
PICTURES = ["image/svg+xml", "image/png", "image/jpeg"]  # of an output in several formats, the first
NOT_RUN = "*This notebook is shown without its outputs: `make notebooks` runs it.*"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each notebook, its pictures, and the page that lists them."""
    for path in sorted((ROOT / "notebooks").glob("*.md")):
        name = path.relative_to(ROOT).as_posix()
        if path.stem == "README":
            markdown, pictures = path.read_text(), {}
        else:
            markdown, pictures = page(path, ROOT / "runs" / "notebooks" / f"{path.stem}.ipynb")
        files.append(File.generated(config, name, content=markdown.replace("](../docs/", "](../")))
        for picture, content in pictures.items():
            files.append(File.generated(config, f"notebooks/{picture}", content=content))
    return files


def page(source: Path, run: Path) -> tuple[str, dict[str, bytes]]:
    """A notebook as Markdown, and its pictures by the names that the Markdown has for them.

    Args:
        source: the notebook's text.
        run: the same notebook with its outputs; it need not be there.
    """
    notebook, executed = jupytext.read(source), None
    if run.exists():
        executed = nbformat.read(run, as_version=4)
    if executed is not None and code(executed) == code(notebook):
        notebook = executed
    else:
        title, _, rest = notebook.cells[0].source.partition("\n")
        notebook.cells[0].source = f"{title}\n\n{NOT_RUN}\n{rest}"
    films: dict[str, bytes] = {}
    for output in (output for cell in notebook.cells for output in cell.get("outputs", [])):
        if film := output.get("data", {}).get("image/gif"):  # for which nbconvert has no template
            name = f"{source.stem}_film_{len(films)}.gif"
            films[name] = b64decode(film)
            output.data["text/markdown"] = f"![film]({name})"
    notebook.metadata.setdefault("language_info", {"name": "python"})  # of the code's colours
    options = Config()
    options.NbConvertBase.display_data_priority = ["text/html", "text/markdown", *PICTURES, "text/plain"]
    options.ExtractOutputPreprocessor.extract_output_types = set(PICTURES)
    options.CoalesceStreamsPreprocessor.enabled = True  # a kernel sends what a cell prints in pieces
    exporter = MarkdownExporter(config=options)
    markdown, resources = exporter.from_notebook_node(notebook, {"unique_key": source.stem})
    return markdown, resources["outputs"] | films


def code(notebook: NotebookNode) -> list[str]:
    """The text of all code cells."""
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]

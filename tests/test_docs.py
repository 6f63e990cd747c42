"""The pages of docs/: what they quote is in the code, formulas read on GitHub and on the site, lessons are lessons."""

import importlib.util
import re
import subprocess
import sys
from base64 import b64encode

import pytest

from tests.test_train import ROOT

PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *(ROOT / "notebooks").glob("*.md")])
LESSONS = ["numpy_core", "mlp", "cnn", "transformer", "gan", "ddpm", "pusht"]  # in their order
QUOTES = [
    pytest.param(quote, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, quote in enumerate(re.findall(r"```python\n(# \S+\.py\n.*?)```", page.read_text(), re.S))
]


def lesson(name):
    return (ROOT / f"docs/{name}.md").read_text()


def formulas(text):
    """Those between $$ and those between $, without code."""
    text = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.S)
    shown = re.findall(r"\$\$(.+?)\$\$", text, re.S)
    return shown, re.findall(r"\$(\S|\S[^$\n]*\S)\$", re.sub(r"\$\$.+?\$\$", "", text, flags=re.S))


@pytest.mark.parametrize("quote", QUOTES)
def test_quoted_lines_stand_in_their_file(quote):
    """In their order, one after the other where no ... stands between them."""
    name, *lines = quote.splitlines()
    source = [line.strip() for line in (ROOT / name.removeprefix("# ")).read_text().splitlines()]
    after = 0
    for part in " \n".join(line.strip() for line in lines).split("... \n"):
        wanted = [line.strip() for line in part.splitlines()]
        places = range(after, len(source) - len(wanted) + 1)
        found = next((place for place in places if source[place : place + len(wanted)] == wanted), None)
        assert found is not None, f"{name} does not hold, in this place:\n{part}"
        after = found + len(wanted)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_formulas_survive_markdown(page):
    """GitHub reads Markdown first: a backslash before punctuation is lost, and _ after it may begin emphasis."""
    shown, inline = formulas(page.read_text())
    for formula in shown + inline:
        assert not re.search(r"\\[^a-zA-Z]|[^\w\s]_|\*|<", formula), f"{page.name}: {formula}"


@pytest.mark.parametrize("place", range(len(LESSONS)), ids=LESSONS)
def test_a_lesson_has_all_its_parts(place):
    text = lesson(LESSONS[place])
    headings = re.findall(r"^## (.*)", text, re.M)
    assert headings == [
        "The problem",
        "The idea",
        "The equations, and the lines that say them",
        "Run this, and see that",
        "What goes wrong, and how to see it",
        "Exercises",
        "Further reading",
    ]
    prose = re.sub(r"```.*?```", "", text, flags=re.S)
    assert 800 <= len(prose.split()) <= 1500
    assert len(formulas(text)[0]) >= 3
    assert f"(drawings/{LESSONS[place]}.svg)" in text
    exercises = text.split("## Exercises")[1].split("## Further")[0]
    assert re.findall(r"^(\d)\. ", exercises, re.M) == ["1", "2", "3"]
    assert f"(results/{LESSONS[place]}.md)" in text
    assert f"(reference/{LESSONS[place]}.md" in text
    head = text.splitlines()[2]
    assert f"Lesson {place + 1} of {len(LESSONS)}" in head
    for other in (place - 1, place + 1):
        if 0 <= other < len(LESSONS):
            assert f"({LESSONS[other]}.md)" in head


@pytest.mark.parametrize("ran", [True, False], ids=["as it ran", "changed since"])
def test_a_notebook_on_the_site_shows_what_its_own_code_printed_and_drew(ran, tmp_path):
    jupytext, nbformat = pytest.importorskip("jupytext"), pytest.importorskip("nbformat")
    pytest.importorskip("nbconvert")
    pytest.importorskip("mkdocs")
    spec = importlib.util.spec_from_file_location("site_notebooks", ROOT / "docs/site_notebooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    cells, outputs = nbformat.v4, []
    files = {"image/png": b"a still", "image/gif": b"a film", "image/svg+xml": b"<svg></svg>"}
    for kind, content in files.items():
        data = content.decode() if kind == "image/svg+xml" else b64encode(content).decode()
        outputs.append(cells.new_output("display_data", {kind: data, "text/plain": "<Figure>"}))
    outputs.append(cells.new_output("stream", text="forty-two\n"))
    text = [cells.new_markdown_cell("# 0. Toy\n\nA sum."), cells.new_code_cell("40 + 2")]
    jupytext.write(cells.new_notebook(cells=text), tmp_path / "0_toy.md")
    run = [text[0], cells.new_code_cell("40 + 2" if ran else "40 + 3", outputs=outputs)]
    nbformat.write(cells.new_notebook(cells=run), tmp_path / "0_toy.ipynb")
    markdown, pictures = module.page(tmp_path / "0_toy.md", tmp_path / "0_toy.ipynb")
    assert markdown.lstrip().startswith("# 0. Toy\n")
    assert "```python\n40 + 2\n```" in markdown
    assert sorted(pictures.values()) == (sorted(files.values()) if ran else [])
    assert all(f"({name})" in markdown for name in pictures)
    assert ("forty-two" in markdown) == ran
    assert ("make notebooks" in markdown) == (not ran)
    assert "<Figure>" not in markdown


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path):
    """Dead links and anchors, pages outside of the navigation and names that the API lacks are warnings."""
    for module in ("material", "mkdocstrings", "latex2mathml", "nbconvert"):
        pytest.importorskip(module)
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    page = (tmp_path / "transformer.html").read_text()
    assert page.count("<math") == sum(map(len, formulas(lesson("transformer"))))
    assert "search/search_index.json" in {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.json")}
    assert "networks.transformer.Encoder" in (tmp_path / "api/networks.html").read_text()
    notebook = (tmp_path / "notebooks/6_ddpm.html").read_text()
    assert notebook.count("<math") == sum(map(len, formulas((ROOT / "notebooks/6_ddpm.md").read_text())))
    for page in tmp_path.rglob("*.html"):  # the site reads without a network
        parts = re.findall(r"<(?:script|img|video|link [^>]*stylesheet)[^>]* (?:src|href)=\"?(\S+)", page.read_text())
        assert not [part for part in parts if part.startswith(("http", "//"))], page

"""The pages of docs/: what they quote is in the code, formulas read on GitHub and on the site, lessons are lessons."""

import re
import subprocess
import sys

import pytest

from tests.test_train import ROOT

PAGES = sorted((ROOT / "docs").rglob("*.md"))
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


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path):
    """Dead links and anchors, pages outside of the navigation and names that the API lacks are warnings."""
    for module in ("material", "mkdocstrings", "latex2mathml"):
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

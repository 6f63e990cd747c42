"""What the site does beyond Markdown: formulas become MathML, READMEs of examples/ become pages.

Browsers draw MathML by themselves, so that a page needs no script from elsewhere and reads without a network.
"""

import html
import re
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
# As pymdownx.arithmatex leaves it.
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.S)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the READMEs of examples/, whose links to docs/ are those of the site's root."""
    for path in sorted((ROOT / "examples").glob("*/README.md")):
        name = path.relative_to(ROOT).as_posix()
        files.append(File.generated(config, name, content=path.read_text().replace("../../docs/", "../../")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links to examples/ and notebooks/, which on the site lie beside the pages and not above them."""
    return re.sub(r"\]\(((?:\.\./)*)\.\./(examples|notebooks)/", r"](\1\2/", markdown)


def on_page_content(page_html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Formulas as MathML."""
    return FORMULA.sub(_mathml, page_html)


def _mathml(formula: re.Match[str]) -> str:
    tag, latex = formula.groups()
    display = "block" if tag == "div" else "inline"
    return f'<{tag} class="arithmatex">{convert(html.unescape(latex), display=display)}</{tag}>'

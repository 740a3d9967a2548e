"""Sphinx's settings; ``make docs`` builds the site.

The repository's root is the source folder, so that a page can be next to the code and the results that it
describes, and its relative links work both on a code host and on the site.
"""

import re
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

project = "repeat-after-me"
author = "The repeat-after-me maintainers"
copyright = author  # noqa: A001  Sphinx's name
version = release = installed_version(project)

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]

# A new page that matches one of these patterns is listed in docs/index.md, which has patterns too, or in
# PAGES_BELOW. Sphinx warns about a page that is in no list, and warnings are errors.
root_doc = "docs/index"
include_patterns = [
    "*.md",
    "docs/*.md",
    "dataset_builders/*.md",
    "lm_eval_tasks/**.md",
    "synthetic_training/**.md",
]
exclude_patterns = [
    "README.md",  # docs/index.md shows it
    ".venv*",
    "build",
]
PAGES_BELOW = {
    # all but documents/ and speed/
    "docs/tasks": ["/lm_eval_tasks/[!ds]*/README", "/lm_eval_tasks/s[!p]*/README"],
    "lm_eval_tasks/documents/README": ["/lm_eval_tasks/documents/results/*"],
    "synthetic_training/checkpoints/README": [
        "/synthetic_training/checkpoints/*/README",
        "/synthetic_training/checkpoints/results/*",
    ],
    "synthetic_training/figures/README": [
        "/synthetic_training/figures/*",
        "/synthetic_training/figures/results/*",
        "/synthetic_training/figures/results/*/*",
    ],
    "synthetic_training/theory/README": ["/synthetic_training/theory/results/*"],
}
html_additional_pages = {"index": "redirect.html"}

# Anchors as on code hosts: LEADERBOARDS.md#compare-two-models
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence", "dollarmath"]
# READMEs of tasks have the headings of lm-eval's template, which skips a level.
suppress_warnings = ["myst.header"]

smartquotes = False  # -- is the start of an option
highlight_language = "none"  # blocks without a language contain commands and their output

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_preserve_defaults = True

html_theme = "furo"
html_title = project
html_show_sphinx = False
html_show_sourcelink = False
html_static_path = ["_static"]
html_css_files = ["wide.css"]
templates_path = ["_templates"]
copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True
copybutton_line_continuation_character = "\\"


def setup(app: Sphinx) -> None:
    """Register the code that the settings above need."""
    app.connect("source-read", _complete)
    # before and after napoleon, which would read the text before a colon as the type of an attribute
    texts: dict[str, list[str]] = {}
    app.connect("autodoc-process-docstring", lambda *event: _keep(texts, event), priority=400)
    app.connect("autodoc-process-docstring", lambda *event: _restore(texts, event), priority=600)
    app.connect("doctree-read", _simplify_types)


def _complete(app: Sphinx, page: str, source: list[str]) -> None:
    """Put README.md at the top of the first page, and the list of the pages below a page at its end.

    Code hosts and package indexes would show such lists as code.
    """
    if page == root_doc:
        readme = (Path(app.srcdir) / "README.md").read_text(encoding="utf-8")
        source[0] = re.sub(r"\]\((?!https?:|#)", "](../", readme) + source[0]
    if not re.search(r"^# ", source[0], re.MULTILINE):  # tables written by a command
        source[0] = f"# {Path(page).name}\n\n" + source[0]
    if page in PAGES_BELOW:
        source[0] += "\n```{toctree}\n:hidden:\n:glob:\n\n" + "\n".join(PAGES_BELOW[page]) + "\n```\n"


def _keep(texts: dict[str, list[str]], event: tuple[Any, ...]) -> None:
    _, what, name, _, _, lines = event
    if what in {"attribute", "property"} and "Raises:" not in lines:
        texts[name] = list(lines)


def _restore(texts: dict[str, list[str]], event: tuple[Any, ...]) -> None:
    _, _, name, _, _, lines = event
    lines[:] = texts.pop(name, lines)


def _simplify_types(_app: Sphinx, page: nodes.document) -> None:
    """Show the type of a setting without its bounds and what the command line needs."""
    for shown in page.findall(addnodes.desc_annotation):
        text = shown.astext()
        if "Annotated[" in text:
            shown.clear()
            shown += nodes.Text(_without_metadata(text))


def _without_metadata(text: str) -> str:
    """A type with ``Annotated[KIND, ...]`` replaced by ``KIND``."""
    before, start, rest = text.rpartition("Annotated[")
    while start:
        depth, end, kind = 0, 0, ""
        for end, letter in enumerate(rest):
            if letter == "," and depth == 0 and not kind:
                kind = rest[:end]
            if letter in ")]" and depth == 0:
                break
            depth += (letter in "([") - (letter in ")]")
        before, start, rest = f"{before}{kind}{rest[end + 1 :]}".rpartition("Annotated[")
    return rest

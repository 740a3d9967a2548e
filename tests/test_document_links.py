"""Every relative link of every document leads to a file, and every anchor to a heading."""

import re
from functools import cache
from pathlib import Path

import pytest

from tests.document_commands import documents
from tests.import_graph import ROOT

_BLOCK = re.compile(r"^```.*?^```\s*$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"^(`{3,}).*?^\1\s*$|(`+)(?!`).+?(?<!`)\2(?!`)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:|mailto:)<?([^)\s>]+)>?\)")


@cache
def anchors(document: Path) -> frozenset[str]:
    """The anchors of a document's headings, as code hosts and the site name them."""
    text = re.sub(
        r"^```.*?^```\s*$", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    found: list[str] = []
    for heading in re.findall(r"^#{1,6} (.+)$", text, re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)|[`*]", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", plain.strip().lower()).replace(" ", "-")
        found.append(name if name not in found else f"{name}-{found.count(name)}")
    return frozenset(found)


def dead_links(document: Path) -> list[str]:
    """The links of a document that lead nowhere, or out of the repository."""
    text = _CODE.sub("", document.read_text(encoding="utf-8"))
    dead = []
    for link in _LINK.findall(text):
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        is_there = target.exists() and target.is_relative_to(ROOT)
        if not is_there or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            dead.append(link)
    return dead


@pytest.mark.parametrize("document", documents(), ids=lambda file: str(file.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    assert not dead_links(document)


def test_dead_links_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text(
        "# A page\n[a](page.md#a-page) [b](#a-page) [c](page.md#none) [d](none.md) [e](../page.md)\n"
        "`[f](none.md)` ![g](none.png) [h](https://example.org)\n```\n[i](none.md)\n# Not a heading\n```\n"
    )
    assert dead_links(page) == ["page.md#none", "none.md", "../page.md", "none.png"]


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 150

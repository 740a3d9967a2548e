"""The sentences of the figures' pages, and the results that they are about."""

import re

from synthetic_training.figures.plan import Result
from synthetic_training.figures.results import read_results
from synthetic_training.figures.summary import by_length
from tests.import_graph import ROOT

FIGURES = ROOT / "synthetic_training/figures"


def of(stem: str, label: str, panel: str | None = None) -> list[Result]:
    lines = read_results(FIGURES / "results" / f"{stem}.jsonl")
    found = [one for one in lines if one["label"] == label and one["panel"] == panel]
    assert found
    return found


def check(document: str, sentence: str) -> None:
    """The document has the sentence, wherever its lines break and whatever it links to."""
    text = " ".join((FIGURES / document).read_text(encoding="utf-8").split())
    assert sentence in re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text)


def short(value: float, digits: int) -> str:
    return f"{value:.{digits}f}".removeprefix("0")


def by_length_of(stem: str, label: str) -> dict[int, float]:
    return {int(band.x): band.mean for band in by_length(of(stem, label), "copy")}

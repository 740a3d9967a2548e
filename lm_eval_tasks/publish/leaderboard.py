"""Scores of several models as one page: what stands in its table, its charts and its notes.

The page is one file that asks for nothing from anywhere. Names in result files are not ours: the template
escapes all of them, and the page's policy lets no script run but its own.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from math import sqrt
from pathlib import Path
from statistics import fmean

from lm_eval_tasks.publish.leaderboard_chart import Chart, Style, chart, style, with_error
from lm_eval_tasks.publish.leaderboard_notes import (
    documents,
    limited,
    notes,
    other_documents,
    said_truncated,
    truncated,
)
from lm_eval_tasks.publish.submission import is_number, iso_date, main_value, model_notes
from lm_eval_tasks.results.reader import Run, Score
from lm_eval_tasks.results.report import by_benchmark

GENERATOR = "repeat-after-me leaderboard"
"""What the page's generator tag says; a file with it may be replaced."""

_TEMPLATE = "leaderboard.html.jinja"

_OTHERS = "other docs"


@dataclass(frozen=True)
class Column:
    """One task, or the mean over a benchmark's tasks.

    Attributes:
        label: what its head shows below the benchmark's name: a length, or ``mean``.
        said: what it is called where the benchmark's name is not beside it.
    """

    label: str
    said: str


@dataclass(frozen=True)
class Group:
    """The columns of one benchmark."""

    benchmark: str
    metric: str
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class Cell:
    """One model's score in one column.

    Attributes:
        value: from 0 to 1; None where there is no score.
        marks: what a reader must know before comparing, in a few words each.
        source: where on the page it is said what the score is from; empty where it is nowhere.
        title: the same in one line.
    """

    value: float | None
    error: float | None = None
    marks: tuple[str, ...] = ()
    source: str = ""
    title: str = ""

    @property
    def text(self) -> str:
        return "no score" if self.value is None else with_error(self.value, self.error)


@dataclass(frozen=True)
class Source:
    """One run of a model: how it was asked, and the scores that are from it."""

    file: str
    date: str
    how: str
    scores: tuple[tuple[Score, Cell], ...]


@dataclass(frozen=True)
class Row:
    """One model."""

    model: str
    anchor: str
    style: Style
    about: str
    cells: tuple[Cell, ...]
    sources: tuple[Source, ...]


@dataclass(frozen=True)
class Page:
    """All that the template shows. The rows come sorted by their first cell, best first."""

    groups: tuple[Group, ...]
    rows: tuple[Row, ...]
    charts: tuple[Chart, ...]
    notes: tuple[str, ...]


def page(scores: Sequence[Score], others: Sequence[str] = ()) -> Page:
    """The page's content.

    A benchmark's mean is over all lengths that any of the models was asked, each counted alike, and is
    there for those models alone that were asked all of them.

    Args:
        scores: of tasks that the released data set has, as ``of_the_benchmark`` gives them.
        others: names of the tasks that it left out.
    """
    benchmarks = by_benchmark(scores)
    strangers = other_documents(scores)
    models = sorted({score.model for score in scores})
    styles = {model: style(number) for number, model in enumerate(models)}
    rows = [_row(n, m, styles[m], benchmarks, strangers) for n, m in enumerate(models)]
    rows.sort(key=lambda row: (row.cells[0].value is None, -(row.cells[0].value or 0.0)))
    drawn = {name: [s for s in own if _value(s)[0] is not None] for name, own in benchmarks.items()}
    return Page(
        groups=tuple(_group(name, own) for name, own in benchmarks.items()),
        rows=tuple(rows),
        charts=tuple(chart(name, own, styles) for name, own in drawn.items() if own),
        notes=tuple(notes(scores, others)),
    )


def render(content: Page, title: str) -> bytes:
    """The page as a file; the same content gives the same bytes."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"sha256": _sha256, "truncated": said_truncated}
    text = environment.get_template(_TEMPLATE).render(page=content, title=title, generator=GENERATOR)
    return text.encode(errors="replace")  # half a surrogate pair is JSON, but no text


def _sha256(text: str) -> str:
    """Checksum of a script or style as a Content-Security-Policy takes it."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _group(benchmark: str, scores: Sequence[Score]) -> Group:
    lengths, unit = _lengths(scores), scores[0].unit
    mean = [Column("mean", f"{benchmark}, mean")] if len(lengths) > 1 else []
    single = [Column(f"{n} {unit}", f"{benchmark}, {n} {unit}") for n in lengths]
    metric = next((score.main_metric for score in scores if score.main_metric), None)
    return Group(benchmark, (metric or "no score").replace("_", " "), (*mean, *single))


def _lengths(scores: Sequence[Score]) -> list[int]:
    return sorted({score.length for score in scores})


def _row(
    number: int,
    model: str,
    own_style: Style,
    benchmarks: dict[str, list[Score]],
    strangers: set[tuple[str, str]],
) -> Row:
    cells: list[Cell] = []
    cell_of: list[tuple[Score, Cell]] = []
    for scores in benchmarks.values():
        own = {score.length: score for score in scores if score.model == model}
        lengths = _lengths(scores)
        found = {}
        for length, score in own.items():
            others = (score.task, score.document_set) in strangers
            found[length] = _cell(score, f"m{number}-{score.task}", others)
            cell_of.append((score, found[length]))
        asked = [found.get(length, Cell(None, title="not asked")) for length in lengths]
        cells += [_mean(asked, list(own.values())), *asked] if len(lengths) > 1 else asked
    sources = _sources(cell_of)
    versions = dict.fromkeys(f"lm-eval {score.run.versions.get('lm-eval', '?')}" for score, _ in cell_of)
    dates = sorted({source.date[:10] for source in sources})
    about = f"{', '.join(versions)}; {dates[0]}" + (f" to {dates[-1]}" if len(dates) > 1 else "")
    return Row(model, f"m{number}", own_style, about, tuple(cells), sources)


def _sources(cells: Sequence[tuple[Score, Cell]]) -> tuple[Source, ...]:
    ordered = sorted(cells, key=lambda pair: (pair[0].run.date, str(pair[0].file)))
    found = []
    for (date, file), pairs in groupby(ordered, key=lambda pair: (pair[0].run.date, pair[0].file)):
        own = sorted(pairs, key=lambda pair: (pair[0].benchmark, pair[0].length))
        found.append(Source(file.name, iso_date(date), _how(own[0][0].run), tuple(own)))
    return tuple(found)


def _how(run: Run) -> str:
    versions = (f"{name} {of}" for name, of in run.versions.items())
    return "; ".join([*run.dressed, *model_notes(run), *versions])


def _value(score: Score) -> tuple[float | None, float | None]:
    """The main metric and its standard error, each None where the file has no such number."""
    if score.main_metric is None:
        return None, None
    value, error = main_value(score)
    if not is_number(value) or not 0 <= value <= 1:
        return None, None
    return value, error if is_number(error) else None


def _cell(score: Score, source: str, others: bool) -> Cell:
    value, error = _value(score)
    marks = []
    if value is None:
        marks.append("no score")
    if limited(score):
        marks.append(f"{score.documents} of {score.asked_for} docs")
    if truncated(score):
        marks.append(f"{score.truncated:.0%} truncated")
    if others:
        marks.append(_OTHERS)
    title = (
        f"{score.model}, {score.task}: {Cell(value, error).text}; {documents(score)}; "
        f"lm-eval {score.run.versions.get('lm-eval', '?')}, {iso_date(score.run.date)}"
    )
    return Cell(value, error, tuple(marks), source, title)


def _mean(cells: Sequence[Cell], scores: Sequence[Score]) -> Cell:
    values = [cell.value for cell in cells if cell.value is not None]
    if len(values) < len(cells):
        return Cell(None, title="no mean: not every length has a score")
    errors = [cell.error for cell in cells if cell.error is not None]
    # the lengths' documents are drawn apart from each other, so variances add up
    error = sqrt(sum(e * e for e in errors)) / len(cells) if len(errors) == len(cells) else None
    marks = {
        "limited": any(map(limited, scores)),
        "truncated": any(map(truncated, scores)),
        _OTHERS: any(_OTHERS in cell.marks for cell in cells),
    }
    said = tuple(mark for mark, holds in marks.items() if holds)
    return Cell(fmean(values), error, said, title="mean over all lengths")

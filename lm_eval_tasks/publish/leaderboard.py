"""Scores of several models as one page: the content of its tables, charts and notes.

The page is one file that loads nothing else. Names in result files are untrusted: the template escapes all of
them, and the page's security policy allows only its own script to run.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from statistics import fmean

from lm_eval_tasks.publish.leaderboard_chart import Chart, Style, charts, styles
from lm_eval_tasks.publish.leaderboard_memory import DASH, Quantity, memory
from lm_eval_tasks.publish.leaderboard_notes import documents, notes, other_documents, truncated_text
from lm_eval_tasks.publish.submission import iso_date, model_notes
from lm_eval_tasks.results.intervals import mean_interval, score_interval, with_interval
from lm_eval_tasks.results.rows import by_benchmark, row_labels
from lm_eval_tasks.results.score import Run, Score

GENERATOR = "repeat-after-me leaderboard"
"""Content of the page's generator tag; a file with this tag may be replaced."""

_TEMPLATE = "leaderboard.html.jinja"

_OTHERS = "other docs"


@dataclass(frozen=True)
class Column:
    """One task, the mean over a benchmark's tasks, or one quantity of a model's memory.

    Attributes:
        label: heading below the benchmark's name: a length, ``mean``, or ``state``.
        name: name of the column where it is shown without the benchmark's name.
    """

    label: str
    name: str


@dataclass(frozen=True)
class Group:
    """The columns of one benchmark; ``metric`` is empty for columns about memory."""

    benchmark: str
    metric: str
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class Cell:
    """One model's score in one column.

    Attributes:
        value: the score, from 0 to 1; None if there is no score.
        ends: ends of its 95% confidence interval; None if unknown.
        marks: caveats for a comparison, each in a few words.
        source: anchor of the run that the score is from; empty for means.
        title: value, interval and caveats in one line.
    """

    value: float | None
    ends: tuple[float, float] | None = None
    marks: tuple[str, ...] = ()
    source: str = ""
    title: str = ""

    @property
    def text(self) -> str:
        return with_interval(self.value, self.ends)

    @property
    def shown(self) -> str:
        return DASH if self.value is None else f"{self.value:.3f}"

    @property
    def interval(self) -> str:
        return "" if self.ends is None else f"[{self.ends[0]:.2f}, {self.ends[1]:.2f}]"


@dataclass(frozen=True)
class Source:
    """One run of a model: its result file, date and settings, and the scores from it."""

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
    memory: tuple[Quantity, ...]
    sources: tuple[Source, ...]


@dataclass(frozen=True)
class Page:
    """Everything that the template shows. Rows are sorted by their first cell, best first.

    Attributes:
        groups: columns of scores.
        memory_groups: columns about the models' memory; empty if nothing is known.
        rows: the models.
        charts: accuracy by length and, if known, by bytes of state.
        notes: notes on the scores, each in one or two sentences.
    """

    groups: tuple[Group, ...]
    memory_groups: tuple[Group, ...]
    rows: tuple[Row, ...]
    charts: tuple[Chart, ...]
    notes: tuple[str, ...]

    @property
    def has_dash(self) -> bool:
        """Whether any cell has no value."""
        values = [cell.value for row in self.rows for cell in row.cells]
        values += [cell.value for row in self.rows for cell in row.memory]
        return None in values


def page(scores: Sequence[Score], others: Sequence[str] = ()) -> Page:
    """The page's content.

    A benchmark's mean is over all lengths at which any of the models was evaluated, with equal weights. Only
    models that were evaluated at all of these lengths have a mean.

    Args:
        scores: scores of tasks in the released data set, from ``leaderboard_scores``.
        others: names of the tasks that ``leaderboard_scores`` left out.

    Raises:
        InputError: a result file names arguments that its benchmark does not allow.
    """
    benchmarks = by_benchmark(scores)
    others_of = other_documents(scores)
    models = row_labels(scores)
    style_of = styles(models)
    memories = {name: found for name, own in benchmarks.items() if (found := memory(own))}
    rows = [_row(n, m, style_of[m], benchmarks, memories, others_of) for n, m in enumerate(models)]
    rows.sort(key=lambda row: (row.cells[0].value is None, -(row.cells[0].value or 0.0)))
    return Page(
        groups=tuple(_group(name, own) for name, own in benchmarks.items()),
        memory_groups=tuple(
            Group(name, "", tuple(Column(heading, f"{name}, {heading}") for heading in found))
            for name, found in memories.items()
        ),
        rows=tuple(rows),
        charts=tuple(one for name, own in benchmarks.items() for one in charts(name, own, style_of)),
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
    environment.filters |= {"sha256": _sha256, "truncated": truncated_text}
    text = environment.get_template(_TEMPLATE).render(page=content, title=title, generator=GENERATOR)
    return text.encode(errors="replace")  # half a surrogate pair is valid JSON, but cannot be encoded


def _sha256(text: str) -> str:
    """Checksum of a script or style, in the format of a Content-Security-Policy."""
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
    memories: dict[str, dict[str, dict[str, Quantity]]],
    others_of: set[tuple[str, str]],
) -> Row:
    cells: list[Cell] = []
    cell_of: list[tuple[Score, Cell]] = []
    for scores in benchmarks.values():
        own = {score.length: score for score in scores if score.label == model}
        lengths = _lengths(scores)
        found = {}
        for length, score in own.items():
            others = (score.task, score.document_set) in others_of
            found[length] = _cell(score, f"m{number}-{score.task}", others)
            cell_of.append((score, found[length]))
        by_length = [found.get(length, Cell(None, title="not evaluated")) for length in lengths]
        cells += [_mean(by_length, list(own.values())), *by_length] if len(lengths) > 1 else by_length
    sources = _sources(cell_of)
    versions = dict.fromkeys(f"lm-eval {score.run.versions.get('lm-eval', '?')}" for score, _ in cell_of)
    dates = sorted({source.date[:10] for source in sources})
    about = f"{', '.join(versions)}; {dates[0]}" + (f" to {dates[-1]}" if len(dates) > 1 else "")
    held = tuple(
        found.get(model, Quantity(None)) for columns in memories.values() for found in columns.values()
    )
    return Row(model, f"m{number}", own_style, about, tuple(cells), held, sources)


def _sources(cells: Sequence[tuple[Score, Cell]]) -> tuple[Source, ...]:
    ordered = sorted(cells, key=lambda pair: (pair[0].run.date, str(pair[0].file)))
    found = []
    for (date, file), pairs in groupby(ordered, key=lambda pair: (pair[0].run.date, pair[0].file)):
        own = tuple(pairs)
        found.append(Source(file.name, iso_date(date), _how(own[0][0].run), own))
    return tuple(found)


def _how(run: Run) -> str:
    versions = (f"{name} {of}" for name, of in run.versions.items())
    return "; ".join([*run.prompt_wrapping, *model_notes(run), *versions])


def _cell(score: Score, source: str, others: bool) -> Cell:
    value = score.main_value
    ends = None if value is None else score_interval(score, score.main_metric or "")
    marks = []
    if value is None:
        marks.append("no score")
    if score.limited:
        marks.append(f"{score.documents} of {score.task_documents} docs")
    if score.truncated:
        marks.append(f"{score.truncated:.0%} truncated")
    if others:
        marks.append(_OTHERS)
    title = (
        f"{score.label}, {score.task}: {Cell(value, ends).text}; {documents(score)}; "
        f"lm-eval {score.run.versions.get('lm-eval', '?')}, {iso_date(score.run.date)}"
    )
    return Cell(value, ends, tuple(marks), source, title)


def _mean(cells: Sequence[Cell], scores: Sequence[Score]) -> Cell:
    values = [cell.value for cell in cells if cell.value is not None]
    if len(values) < len(cells):
        return Cell(None, title="no mean: not every length has a score")
    # the documents of different lengths are drawn independently
    ends = mean_interval(values, [cell.ends for cell in cells])
    marks = {
        "limited": any(score.limited for score in scores),
        "truncated": any(score.truncated for score in scores),
        _OTHERS: any(_OTHERS in cell.marks for cell in cells),
    }
    shown = tuple(mark for mark, holds in marks.items() if holds)
    return Cell(fmean(values), ends, shown, title="mean over all lengths")

"""All results on one benchmark, as numbers, tables and plots."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from lm_eval_tasks.results.capacity import Capacity, capacities, capacity_table
from lm_eval_tasks.results.errors import Errors, count_errors, error_table
from lm_eval_tasks.results.learning_curve import LearningCurve, learning_curve_table, learning_curves
from lm_eval_tasks.results.plots import RowStyle, draw, draw_by_state, draw_learning_curves
from lm_eval_tasks.results.position_plots import draw_by_tenth
from lm_eval_tasks.results.positions import (
    QueriedDocument,
    copied_fractions,
    first_error_table,
    position_table,
    queried_documents,
)
from lm_eval_tasks.results.rows import row_labels
from lm_eval_tasks.results.sample_plots import draw_errors, draw_first_errors, draw_positions
from lm_eval_tasks.results.samples import Sample, logged
from lm_eval_tasks.results.score import Score
from lm_eval_tasks.results.table import table
from lm_eval_tasks.results.time_plots import draw_by_time
from lm_eval_tasks.results.timing_table import timing_table


@dataclass(frozen=True)
class BenchmarkReport:
    """The results of all models on one benchmark.

    Tables are Markdown, and empty if there is nothing to show. Each ``draw_`` method writes a PNG and an SVG
    into a folder and returns the two files, or no files if there is nothing to draw. Everything that is read
    from logged samples (``lm_eval --log_samples``) is empty without them. All members except ``scores`` and
    ``labels`` raise InputError if a file is damaged or cannot be written.

    Attributes:
        benchmark: name of the benchmark and of the plots, as in ``phone_book_by_state.png``.
        scores: scores, sorted by label and length.
        style_of: style of each row by label, the same in the reports of all benchmarks.
    """

    benchmark: str
    scores: Sequence[Score]
    style_of: Mapping[str, RowStyle] = field(repr=False)

    @property
    def labels(self) -> list[str]:
        """The labels of the rows; each row is a model with one way of prompting."""
        return row_labels(self.scores)

    @property
    def unit(self) -> str:
        """The unit of the lengths, e.g. ``entries``."""
        return self.scores[0].unit

    # ---- numbers

    @cached_property
    def capacities(self) -> dict[str, Capacity]:
        """Effective length, recalled bits and bytes of state, by label."""
        return capacities(self.scores)

    @cached_property
    def learning_curves(self) -> list[LearningCurve]:
        """The training runs with several checkpoints."""
        return learning_curves(self.scores)

    @cached_property
    def samples(self) -> list[tuple[Score, list[Sample]]]:
        """The scores whose samples were logged, with the samples: one per document."""
        return logged(self.scores)

    @cached_property
    def documents(self) -> list[QueriedDocument]:
        """The queried position of each document, if it has one, and whether the answer is correct."""
        return queried_documents(self.samples)

    @cached_property
    def errors(self) -> list[Errors]:
        """Wrong answers by class for each row and length."""
        return count_errors(self.samples)

    @cached_property
    def copied_fractions(self) -> dict[tuple[str, int], list[float]]:
        """The fraction of each copy before its first error, from 0 to 1, by (label, length)."""
        return copied_fractions(self.samples)

    # ---- tables

    def score_table(self) -> str:
        """Every metric by length, with 95% intervals."""
        return table(self.scores)

    def capacity_table(self) -> str:
        """Effective length, recalled bits and bytes of state."""
        return capacity_table(self.scores)

    def timing_table(self) -> str:
        """Milliseconds to read a prompt and per generated token, if a run measured them."""
        return timing_table(self.scores)

    def step_table(self) -> str:
        """The main metric by training step, with one table per training run."""
        return "\n\n".join(map(learning_curve_table, self.learning_curves))

    def position_table(self) -> str:
        """Accuracy by tenth of the document."""
        return position_table(self.documents)

    def error_table(self) -> str:
        """Wrong answers by class."""
        return error_table(self.errors, self.unit) if self.errors else ""

    def first_error_table(self) -> str:
        """How much of a copy comes before its first error."""
        return first_error_table(self.copied_fractions, self.unit) if self.copied_fractions else ""

    def tables(self) -> list[str]:
        """All tables that are not empty."""
        found = (
            self.score_table(),
            self.capacity_table(),
            self.timing_table(),
            self.step_table(),
            self.position_table(),
            self.error_table(),
            self.first_error_table(),
        )
        return [one for one in found if one]

    # ---- plots

    def draw_by_length(self, folder: Path) -> list[Path]:
        """Draw the main metric by length, as ``BENCHMARK.png`` and ``.svg``; return the files drawn."""
        return draw(self.benchmark, self.scores, self.style_of, folder)

    def draw_by_step(self, folder: Path) -> list[Path]:
        """Draw the main metric by training step, as ``BENCHMARK_by_step``."""
        return draw_learning_curves(self.benchmark, self.learning_curves, folder)

    def draw_by_state(self, folder: Path) -> list[Path]:
        """Draw the main metric by bytes of state, as ``BENCHMARK_by_state``."""
        return draw_by_state(self.benchmark, self.scores, self.style_of, folder)

    def draw_by_time(self, folder: Path) -> list[Path]:
        """Draw the main metric by seconds, as ``BENCHMARK_by_time``."""
        return draw_by_time(self.benchmark, self.scores, self.style_of, folder)

    def draw_by_position(self, folder: Path) -> list[Path]:
        """Draw heat maps of accuracy by length and position, as ``BENCHMARK_by_position``."""
        return draw_positions(self.benchmark, self.documents, self.unit, folder)

    def draw_by_tenth(self, folder: Path) -> list[Path]:
        """Draw accuracy by tenth of the document, one panel per length, as ``BENCHMARK_by_tenth``."""
        return draw_by_tenth(self.benchmark, self.documents, self.unit, self.style_of, folder)

    def draw_errors(self, folder: Path) -> list[Path]:
        """Draw the wrong answers by class and length, as ``BENCHMARK_errors``."""
        return draw_errors(self.benchmark, self.errors, self.unit, folder)

    def draw_first_errors(self, folder: Path) -> list[Path]:
        """Draw the fraction of copies without an error so far, as ``BENCHMARK_first_error``."""
        return draw_first_errors(self.benchmark, self.copied_fractions, self.unit, folder)

    def draw(self, folder: Path) -> list[Path]:
        """Draw all plots for which there are data; return the files drawn."""
        return [
            *self.draw_by_length(folder),
            *self.draw_by_step(folder),
            *self.draw_by_state(folder),
            *self.draw_by_time(folder),
            *self.draw_by_position(folder),
            *self.draw_by_tenth(folder),
            *self.draw_errors(folder),
            *self.draw_first_errors(folder),
        ]

"""The speed of models on one benchmark as a Markdown table, with rows of models and columns of lengths."""

from collections.abc import Callable, Sequence
from typing import Any

from dataset_builders.markdown import markdown_table
from lm_eval_tasks.results.rows import row_labels
from lm_eval_tasks.results.score import Score
from lm_eval_tasks.results.text import in_markdown
from lm_eval_tasks.results.timing_record import Timing

_QUANTITIES: tuple[tuple[str, Callable[[Timing], str]], ...] = (
    ("tokens of a prompt", lambda timing: f"{timing.prompt_tokens:,}"),
    ("ms to read the prompts", lambda timing: _milliseconds(timing.prefill_seconds, timing.prefill_range)),
    ("ms per generated token", lambda timing: _milliseconds(timing.token_seconds, timing.token_range)),
    ("generated tokens per second", lambda timing: _three_digits(timing.tokens_per_second)),
)


def timed(scores: Sequence[Score]) -> list[tuple[Score, Timing]]:
    """The scores whose models were timed, with the timing of each batch."""
    return [(score, timing) for score in scores for timing in score.timings]


def timing_table(scores: Sequence[Score]) -> str:
    """The timings of one benchmark's scores as a Markdown table; empty if there are none."""
    found = timed(scores)
    if not found:
        return ""
    lengths = sorted({score.length for score, _ in found})
    rows = []
    for label in row_labels([score for score, _ in found]):
        own = [(score, timing) for score, timing in found if score.label == label]
        for batch, machine in sorted({(timing.batch_size, timing.machine) for _, timing in own}):
            of_batch = {
                score.length: timing
                for score, timing in own
                if (timing.batch_size, timing.machine) == (batch, machine)
            }
            for name, text in _QUANTITIES:
                cells = [text(of_batch[length]) if length in of_batch else "" for length in lengths]
                rows.append([in_markdown(label), in_markdown(machine), batch, name, *cells])
    unit = in_markdown(scores[0].unit)
    headers = ["model", "machine", "batch", "measured", *(f"{length} {unit}" for length in lengths)]
    machines = {timing.machine for _, timing in found}
    where = f" On {in_markdown(machines.pop())}." if len(machines) == 1 else ""
    if where:
        headers, rows = _without_second(headers), [_without_second(row) for row in rows]
    repetitions = sorted({timing.repetitions for _, timing in found})
    return (
        f"{markdown_table(headers, rows)}\n\nTimes of a whole batch: median [shortest, longest] of "
        f"{' or '.join(map(str, repetitions))} repetitions after a warm-up.{where}"
    )


def _without_second(cells: list[Any]) -> list[Any]:
    return [cells[0], *cells[2:]]


def _milliseconds(seconds: float, ends: Sequence[float]) -> str:
    middle, low, high = (_three_digits(1000 * value) for value in (seconds, *ends))
    return f"{middle} [{low}, {high}]"


def _three_digits(value: float) -> str:
    return f"{float(f'{value:.3g}'):,g}"


def machine_of(label: str, found: Sequence[tuple[Score, Timing]], machines: Sequence[str]) -> str:
    """A row's label, with its machine if the report has several."""
    own = sorted({timing.machine for score, timing in found if score.label == label})
    return label if len(machines) == 1 else f"{label}, {' and '.join(own)}"

"""The memory columns of the leaderboard: effective length, recalled bits and state."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dataset_builders.plotting import short_bytes, short_number
from lm_eval_tasks.results.capacity import Capacity, capacities
from lm_eval_tasks.results.score import Score

DASH = "\N{EN DASH}"
"""Text of a cell without a value."""


@dataclass(frozen=True)
class Quantity:
    """One model's value in one column.

    Attributes:
        value: the value by which the column is sorted; None if there is none.
        shown: the value as text.
        interval: its 95% confidence interval as text; empty if it has none.
        marks: remarks, each in a few words.
        source: always empty, because a value comes from several runs; ``Cell`` has the same attribute.
        title: value, interval and remarks in one line.
    """

    value: float | None
    shown: str = DASH
    interval: str = ""
    marks: tuple[str, ...] = ()
    source: str = ""
    title: str = "no value"


_Column = Callable[[Capacity, str], Quantity]


def memory(scores: Sequence[Score]) -> dict[str, dict[str, Quantity]]:
    """The memory columns of one benchmark: values by heading, then by label; empty columns are left out.

    Raises:
        InputError: a result file names arguments that the benchmark does not allow.
    """
    found, unit = capacities(scores), scores[0].unit
    columns: Mapping[str, _Column] = {
        f"effective length ({unit})": _effective_length,
        "recalled bits": _recalled_bits,
        "state": _state,
        "recalled bits per bit of state": _bits_per_bit,
    }
    cells = {
        heading: {label: column(capacity, unit) for label, capacity in found.items()}
        for heading, column in columns.items()
    }
    return {
        heading: own for heading, own in cells.items() if any(cell.value is not None for cell in own.values())
    }


def _effective_length(capacity: Capacity, unit: str) -> Quantity:
    length = capacity.length
    if length.estimate is None or length.interval is None:
        low, high = length.between
        known = low > 0 or not math.isinf(high)
        text = length.between_text
        return Quantity(low, text, title=f"{text} {unit}, without a curve") if known else Quantity(None)
    estimate, _, interval = str(length).partition(" ")
    return Quantity(
        value=length.estimate,
        shown=estimate,
        interval=interval,
        marks=(f"{length.between_text} without a curve",),
        title=f"{length} {unit} by a logistic fit; {length.between_text} without a curve",
    )


def _recalled_bits(capacity: Capacity, unit: str) -> Quantity:
    if capacity.most_bits is None:
        return Quantity(None)
    length, bits = capacity.most_bits
    if not bits:
        return Quantity(0.0, "no bound", title="accuracy is not known to be above chance")
    return _at_least(bits, f"{bits:,.0f}", "recalled bits", f"{length} {unit}")


def _bits_per_bit(capacity: Capacity, unit: str) -> Quantity:
    if capacity.most_bits is None or not capacity.bits_per_bit:
        return Quantity(None)
    value, where = capacity.bits_per_bit, f"{capacity.most_bits[0]} {unit}"
    return _at_least(value, short_number(float(f"{value:.2g}")), "recalled bits per bit of state", where)


def _at_least(value: float, text: str, name: str, where: str) -> Quantity:
    title = f"at least {text} {name} at {where}, with 95% confidence over all lengths together"
    return Quantity(value, f"≥ {text}", marks=(f"at {where}",), title=title)


def _state(capacity: Capacity, unit: str) -> Quantity:
    """The state at the longest length at which it is known."""
    if not capacity.state_bytes:
        return Quantity(None)
    lengths = sorted(capacity.state_bytes)
    size = capacity.state_bytes[lengths[-1]]
    fixed = len(lengths) > 1 and len(set(capacity.state_bytes.values())) == 1
    where = f"{lengths[0]} to {lengths[-1]} {unit}" if fixed else f"{lengths[-1]} {unit}"
    return Quantity(size, short_bytes(size), marks=(f"at {where}",), title=f"{size:,} bytes at {where}")

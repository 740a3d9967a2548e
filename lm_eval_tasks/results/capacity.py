"""Effective length and recalled bits of every row of a benchmark."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dataset_builders.benchmark import Benchmark, RandomAnswers
from dataset_builders.markdown import markdown_table
from lm_eval_tasks.results.effective_length import EffectiveLength, effective_length
from lm_eval_tasks.results.known_tasks import benchmark_of
from lm_eval_tasks.results.recalled_bits import BY_SYMBOL, WHOLE, Observed, lower_bounds
from lm_eval_tasks.results.rows import row_labels
from lm_eval_tasks.results.score import Score
from lm_eval_tasks.results.text import in_markdown


@dataclass(frozen=True)
class Capacity:
    """The memory of one row's model, estimated from its accuracies.

    Attributes:
        length: the effective length.
        bits: lower bounds of the recalled bits by length, valid for all lengths at once with 95% confidence;
            empty if the benchmark's answers are not uniform.
        state_bytes: bytes of the model's state by length, for lengths at which they are known.
        no_state: reason for missing ``state_bytes``; None if there are any, or if the reason is unknown.
    """

    length: EffectiveLength
    bits: Mapping[int, float]
    state_bytes: Mapping[int, int]
    no_state: str | None

    @property
    def most_bits(self) -> tuple[int, float] | None:
        """The length with the largest bound, and that bound; None without bounds."""
        return max(self.bits.items(), key=lambda item: item[1]) if self.bits else None

    @property
    def bits_per_bit(self) -> float | None:
        """The largest bound divided by the bits of the state at its length; None if either is unknown."""
        if self.most_bits is None or self.most_bits[0] not in self.state_bytes:
            return None
        length, bits = self.most_bits
        return bits / (8 * self.state_bytes[length])


def capacities(scores: Sequence[Score]) -> dict[str, Capacity]:
    """The capacities of one benchmark's rows by label; rows without ``exact_match`` are left out.

    Raises:
        InputError: a result file names arguments that the benchmark does not allow.
    """
    found = {}
    for label in row_labels(scores):
        by_length = {
            score.length: score
            for score in scores
            if score.label == label and score.values.get(WHOLE, (None, None))[0] is not None
        }
        if by_length:
            found[label] = _capacity(sorted(by_length.items()))
    return found


def _capacity(scores: Sequence[tuple[int, Score]]) -> Capacity:
    lengths = [length for length, _ in scores]
    documents = [score.documents for _, score in scores]
    right = [
        round((score.values[WHOLE][0] or 0.0) * n) for (_, score), n in zip(scores, documents, strict=True)
    ]
    observed = [(length, one) for length, score in scores for one in _observed(score)]
    bits: dict[int, float] = {}
    for (length, _), bound in zip(observed, lower_bounds([one for _, one in observed]), strict=True):
        bits[length] = max(bound, bits.get(length, 0.0))
    sizes = {length: score.state_bytes for length, score in scores if score.state_bytes is not None}
    reasons = () if sizes else (score.no_state for _, score in scores)
    return Capacity(
        effective_length(lengths, right, documents), bits, sizes, next(filter(None, reasons), None)
    )


def _observed(score: Score) -> list[Observed]:
    answers = random_answers(score)
    if answers is None:
        return []
    means = {metric: score.values.get(metric, (None, None))[0] for metric in (WHOLE, BY_SYMBOL)}
    return [
        Observed(answers, metric, mean, score.documents) for metric, mean in means.items() if mean is not None
    ]


def random_answers(score: Score) -> RandomAnswers | None:
    """The random content of a score's documents; None if answers are not uniform and independent."""
    benchmark = benchmark_of(score.task)
    if benchmark.random_answers is None:
        return None
    return benchmark.random_answers(_arguments(benchmark, score))


def _arguments(benchmark: Benchmark, score: Score) -> dict[str, object]:
    known = {name: score.metadata[name] for name in benchmark.argument_names if name in score.metadata}
    return {**benchmark.defaults, **known, benchmark.lengths.parameter: score.length}


def capacity_table(scores: Sequence[Score]) -> str:
    """The capacities of one benchmark's rows as a Markdown table; empty if there are none."""
    found = capacities(scores)
    if not found:
        return ""
    unit = in_markdown(scores[0].unit)
    rows = [_row(label, capacity, unit) for label, capacity in found.items()]
    headers = [name for name in rows[0] if name in _ALWAYS or any(row[name] for row in rows)]
    with_bits = _BITS in headers
    table = markdown_table(
        [f"{name} ({unit})" if name == _LENGTH else name for name in headers],
        [[row[name] for name in headers] for row in rows],
    )
    notes = (
        "Effective length: where accuracy falls through one half, by a logistic fit, with its 95% bootstrap "
        "interval; without a curve: the tested lengths between which this happens, with 95% confidence."
    )
    if with_bits:
        notes += (
            " Recalled bits: a lower bound on the information about the document in the model's state, with "
            "95% confidence for all lengths together."
        )
    return "\n\n".join([table, notes, *_without_state(found)])


def _without_state(found: Mapping[str, Capacity]) -> list[str]:
    """A sentence for each row whose state is missing although others have one, or for a known reason."""
    others = any(capacity.state_bytes for capacity in found.values())
    sentences = [
        f"{in_markdown(label)}: no state was measured"
        + (f", because {in_markdown(capacity.no_state)}." if capacity.no_state else ".")
        for label, capacity in found.items()
        if not capacity.state_bytes and (capacity.no_state or others)
    ]
    return [" ".join(sentences)] if sentences else []


_LENGTH, _BITS = "effective length", "recalled bits"
_ALWAYS = ("model", _LENGTH, "without a curve")


def _row(label: str, capacity: Capacity, unit: str) -> dict[str, str]:
    """The cells of a row by column; bits and state are given for the length in the column ``at``.

    Without a bound, this is the longest length at which the state was measured.
    """
    length, bits = capacity.most_bits or (None, 0.0)
    sizes = capacity.state_bytes
    measured = length if bits and length in sizes else max(sizes, default=None)
    at = length if bits else measured
    state = f"{sizes[measured]:,}" if measured is not None else ""
    ratio = capacity.bits_per_bit if bits else None
    return {
        "model": in_markdown(label),
        _LENGTH: str(capacity.length),
        "without a curve": capacity.length.between_text,
        _BITS: "" if length is None else f"at least {bits:,.0f}" if bits else "no bound",
        "at": "" if at is None else f"{at} {unit}",
        "state there (bytes)": state if measured in (None, at) else f"{state} at {measured} {unit}",
        "recalled bits per bit of state": "" if ratio is None else f"at least {ratio:.2g}",
    }

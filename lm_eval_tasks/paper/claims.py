"""The paper's claims about pretrained models, each as the differences that it implies, with 95% intervals.

A claim compares a recurrent model with the transformer of its size (``compare_with`` in the list of models),
or the smallest transformer with the largest recurrent model. Differences between models on the same documents
are paired (:mod:`lm_eval_tasks.results.compare`). Differences between differences are computed from means as
if these were independent, by the method of :func:`~lm_eval_tasks.results.intervals.mean_interval`; since the
models are evaluated on the same documents, these intervals tend to be too wide rather than too narrow.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from dataset_builders import InputError
from dataset_builders.intervals import CONFIDENCE
from lm_eval_tasks.paper.model_list import Model
from lm_eval_tasks.results.compare import Comparison, compare_rows
from lm_eval_tasks.results.intervals import mean_interval, score_interval
from lm_eval_tasks.results.score import Score

LONG_BOOKS = 70
"""Minimum number of entries to which the paper's claim about phone books applies."""

Verdict = Literal["as claimed", "the opposite", "undecided"]


@dataclass(frozen=True)
class Estimate:
    """A number with its 95% interval."""

    value: float
    low: float
    high: float

    def minus(self, other: "Estimate") -> "Estimate":
        """The difference of two independent estimates."""
        below = ((self.value - self.low) ** 2 + (other.high - other.value) ** 2) ** 0.5
        above = ((self.high - self.value) ** 2 + (other.value - other.low) ** 2) ** 0.5
        difference = self.value - other.value
        return Estimate(difference, difference - below, difference + above)


@dataclass(frozen=True)
class Finding:
    """A difference that is above 0 if the claim holds.

    Attributes:
        what: the difference in words.
        difference: the difference with its interval.
        p_value: p-value of a paired test of this difference; None if there is no such test.
    """

    what: str
    difference: Estimate
    p_value: float | None = None

    @property
    def verdict(self) -> Verdict:
        """Decided only if interval and test agree; with few documents, the exact test is the stricter one."""
        if self.p_value is not None and self.p_value >= 1 - CONFIDENCE:
            return "undecided"
        if self.difference.low > 0:
            return "as claimed"
        return "the opposite" if self.difference.high < 0 else "undecided"


@dataclass(frozen=True)
class Claim:
    """A claim of the paper.

    Attributes:
        text: what the paper says.
        reading: the differences that are computed to test the claim.
        findings: the differences; empty if the required results are missing.
    """

    text: str
    reading: str
    findings: tuple[Finding, ...]

    @property
    def summary(self) -> str:
        """The number of findings that agree with the claim, in words."""
        if not self.findings:
            return "not evaluated: the required results are missing"
        counts = dict.fromkeys(("as claimed", "the opposite", "undecided"), 0)
        for finding in self.findings:
            counts[finding.verdict] += 1
        if counts["as claimed"] == len(self.findings):
            return f"found: all {len(self.findings)} differences are as claimed"
        parts = [f"{count} {verdict}" for verdict, count in counts.items() if count]
        return f"of {len(self.findings)} differences, {', '.join(parts)}"


def claims(models: Sequence[Model], scores: Mapping[str, Sequence[Score]]) -> list[Claim]:
    """The paper's claims and the findings for each.

    Args:
        models: all models of the plan, including those whose results are missing.
        scores: scores by experiment, labelled with the models' names.

    Raises:
        InputError: samples are missing or damaged, or the models were evaluated on different documents.
    """
    pairs = [(model.compare_with, model.name) for model in models if model.compare_with is not None]
    extremes = _extremes(models)
    found = {name: list(own) for name, own in scores.items()}
    return [
        Claim(
            "Transformers copy longer C4 texts than state space models of the same size.",
            "The transformer's accuracy minus the recurrent model's, over the documents of all lengths.",
            tuple(_over_all_lengths(pairs, found.get("c4_copy", []))),
        ),
        Claim(
            "Shuffled text is harder to copy than text in its original order, for both kinds of model.",
            "Each model's accuracy on C4 text minus its accuracy on shuffled C4 text, as means over lengths.",
            tuple(_drops([name for pair in pairs for name in pair], found)),
        ),
        Claim(
            "Shuffling costs state space models far more than transformers.",
            "The accuracy that the recurrent model loses by shuffling minus the accuracy that the "
            "transformer of its size loses. A model that cannot copy text in its original order has no "
            "accuracy to lose.",
            tuple(_drop_differences(pairs, found)),
        ),
        Claim(
            f"In phone books of {LONG_BOOKS} entries and more, the smallest transformer is better than the "
            "largest state space model.",
            "The smallest transformer's accuracy minus that of the largest recurrent model.",
            tuple(_by_length(extremes, found.get("phone_book", []))),
        ),
        Claim(
            "On SQuAD, the F1 of state space models falls faster with the length of the paragraph.",
            "The fall is the mean F1 over the shorter half of the lengths minus the mean F1 over the longer "
            "half; the difference is the recurrent model's fall minus that of the transformer of its size.",
            tuple(_fall_differences(pairs, found.get("squad_v2_retrieval", []))),
        ),
    ]


def _extremes(models: Sequence[Model]) -> list[tuple[str, str]]:
    """The smallest transformer and the largest recurrent model."""
    transformers = [model for model in models if model.kind == "transformer"]
    recurrent = [model for model in models if model.kind == "recurrent"]
    if not transformers or not recurrent:
        return []
    size = {model.name: model.parameters for model in models}
    first = min(transformers, key=lambda model: size[model.name])
    return [(first.name, max(recurrent, key=lambda model: size[model.name]).name)]


def _over_all_lengths(pairs: Sequence[tuple[str, str]], scores: list[Score]) -> Iterator[Finding]:
    for first, second in _evaluated(pairs, scores):
        found = compare_rows(scores, first, second)
        one = list(found.values())[-1]  # over all lengths, where there are several
        yield from _paired_finding(f"{first} minus {second}, {one.documents} documents", one)


def _by_length(pairs: Sequence[tuple[str, str]], scores: list[Score]) -> Iterator[Finding]:
    long = [score for score in scores if score.length >= LONG_BOOKS]
    for first, second in _evaluated(pairs, long):
        for (_, length), one in compare_rows(long, first, second).items():
            if length != "all lengths":
                yield from _paired_finding(f"{first} minus {second}, {length}", one)


def _paired_finding(what: str, one: Comparison) -> Iterator[Finding]:
    """The finding of a paired comparison; nothing if the difference has no interval."""
    if one.ends is not None:
        yield Finding(what, Estimate(one.difference, *one.ends), one.p_value)


def _evaluated(pairs: Sequence[tuple[str, str]], scores: Sequence[Score]) -> list[tuple[str, str]]:
    there = {score.label for score in scores}
    return [pair for pair in pairs if there.issuperset(pair)]


def _drops(names: Sequence[str], scores: Mapping[str, list[Score]]) -> Iterator[Finding]:
    for name in names:
        drop = _drop(name, scores)
        if drop is not None:
            yield Finding(f"{name}: in order minus shuffled", drop)


def _drop_differences(
    pairs: Sequence[tuple[str, str]], scores: Mapping[str, list[Score]]
) -> Iterator[Finding]:
    for first, second in pairs:
        drop, other = _drop(second, scores), _drop(first, scores)
        if drop is not None and other is not None:
            yield Finding(f"cost to {second} minus cost to {first}", drop.minus(other))


def _drop(name: str, scores: Mapping[str, list[Score]]) -> Estimate | None:
    """The accuracy that a model loses by shuffling, at the lengths at which both orders were evaluated."""
    orders = [_of(name, scores.get(experiment, [])) for experiment in ("c4_copy", "c4_copy_random")]
    both = {score.length for score in orders[0]} & {score.length for score in orders[1]}
    means = [_mean([score for score in own if score.length in both]) for own in orders]
    return None if means[0] is None or means[1] is None else means[0].minus(means[1])


def _fall_differences(pairs: Sequence[tuple[str, str]], scores: list[Score]) -> Iterator[Finding]:
    for first, second in pairs:
        fall, other = _fall(_of(second, scores)), _fall(_of(first, scores))
        if fall is not None and other is not None:
            yield Finding(f"fall of {second} minus fall of {first}", fall.minus(other))


def _fall(scores: Sequence[Score]) -> Estimate | None:
    """How much a score falls from the shorter half of the lengths to the longer half."""
    half = len(scores) // 2
    short, long = _mean(scores[:half]), _mean(scores[len(scores) - half :])
    return None if short is None or long is None else short.minus(long)


def _of(name: str, scores: Sequence[Score]) -> list[Score]:
    return sorted((score for score in scores if score.label == name), key=lambda score: score.length)


def _mean(scores: Sequence[Score]) -> Estimate | None:
    """The mean of the main metric over lengths, each with the same weight."""
    values = [score.main_value for score in scores if score.main_value is not None]
    if not values or len(values) < len(scores):
        return None
    ends = mean_interval(values, [score_interval(score, score.main_metric or "") for score in scores])
    if ends is None:
        raise InputError(f"{scores[0].task} has no standard error; evaluate it on more than one document")
    return Estimate(sum(values) / len(values), *ends)

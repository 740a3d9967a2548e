"""The learning rates of a figure's runs: which are tried, and which one each run uses.

Each learning rate in the figure's file is tried with the first seed and a third of the steps. The rule for
the choice needs no judgement:

1. *Score.* If the figure shows accuracy by training examples, the mean string accuracy over the evaluations;
   a run that ended early keeps its last accuracy. Otherwise, the string accuracy at the end.
2. *Ties.* A score counts as equal to the highest if the two differ by at most the standard error of their
   difference. For a mean over evaluations, it may be too small, because these are treated as independent,
   although they have the same strings.
3. Of equal scores, the one with the lowest training loss at the end is chosen.

Only training lengths are evaluated, so that the choice does not depend on what the figure tests.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import ceil, hypot

from tabulate import tabulate

from synthetic_training.config import TrainConfig
from synthetic_training.figures.figure_file import Figure, Scale
from synthetic_training.figures.plan import Result, Run, plan, short
from synthetic_training.figures.style import model_title
from synthetic_training.figures.summary import final_accuracy, grouped, learning_curve, ranked_loss

PART_OF_STEPS = 3
"""A learning rate is tried for one part in this many of the steps."""

Rates = Mapping[tuple[str, str | None], float]
"""The chosen learning rate by label and panel."""


def trials(scale: Scale, source: str, by_examples: bool, models: Sequence[str] = ()) -> list[Run]:
    """The runs that try the learning rates of a scale.

    Args:
        scale: scale of the figure.
        source: the figure's file, for error messages.
        by_examples: whether the figure shows accuracy by training examples. Otherwise, no trial stops early,
            so that all have the same learning rate schedule.
        models: labels of the runs; empty for all.

    Raises:
        InputError: a label is unknown, a run's settings are invalid, or two runs are the same.
    """
    return [
        Run(run.label, run.panel, run.seed, {"lr": rate}, _trial(run, rate, by_examples))
        for run in plan(scale, source, models, scale.seeds[:1])
        for rate in scale.rates_to_try(run.label)
    ]


def _trial(run: Run, rate: float, by_examples: bool) -> TrainConfig:
    config = run.config
    return replace(
        config,
        lr=rate,
        steps=max(ceil(config.steps / PART_OF_STEPS), config.warmup + 1),
        stop_accuracy=config.stop_accuracy if by_examples else None,
    )


def chosen(results: Iterable[Result], scale: Scale, by_examples: bool) -> dict[tuple[str, str | None], float]:
    """The learning rate of each label and panel for which all learning rates were tried.

    Args:
        results: results of ``trials``.
        scale: scale of the figure.
        by_examples: whether the figure shows accuracy by training examples.
    """
    groups = grouped(results, lambda result: (str(result["label"]), result["panel"]))
    found = {}
    for (label, panel), own in groups.items():
        wanted = scale.rates_to_try(label)
        tried = {result["sweep"]["lr"]: result for result in own}
        if wanted and all(rate in tried for rate in wanted):
            found[label, panel] = _best([tried[rate] for rate in wanted], by_examples)
    return found


def _best(results: Sequence[Result], by_examples: bool) -> float:
    scores = [score(result, by_examples) for result in results]
    errors = [_standard_error(result, by_examples) for result in results]
    highest = max(scores)
    error = max(error for error, one in zip(errors, scores, strict=True) if one == highest)
    equal = [
        result
        for result, one, own in zip(results, scores, errors, strict=True)
        if highest - one <= hypot(error, own)
    ]
    best = min(equal, key=ranked_loss)
    return float(best["sweep"]["lr"])


def score(result: Result, by_examples: bool) -> float:
    """The number by which learning rates are compared; higher is better."""
    if not by_examples:
        return final_accuracy(result)
    counts = _counts(result)
    accuracies = [point["string_accuracy"] for point in learning_curve(result)]
    return sum(count * one for count, one in zip(counts, accuracies, strict=True)) / sum(counts)


def _standard_error(result: Result, by_examples: bool) -> float:
    """The standard error of the score, from those of the evaluations."""
    errors = [point["string_accuracy_stderr"] for point in learning_curve(result)]
    if not by_examples:
        return float(errors[-1])
    counts = _counts(result)
    return hypot(*(count * error for count, error in zip(counts, errors, strict=True))) / sum(counts)


def _counts(result: Result) -> list[int]:
    """The weight of each evaluation: if a run ended early, the last one stands for those not made."""
    config, made = result["config"], len(learning_curve(result))
    return [1] * (made - 1) + [1 + ceil(config["steps"] / config["eval_every"]) - made]


def trials_figure(figure: Figure) -> Figure:
    """A figure of the trials: the training loss by learning rate."""
    return Figure(
        title=f"Learning rates: {figure.title[0].lower()}{figure.title[1:]}",
        x="lr",
        paper="it does not show its sweep.",
        scales=figure.scales,
    )


def choice_table(results: Sequence[Result], scale: Scale, by_examples: bool) -> str:
    """The score of each learning rate and the choice, as Markdown."""
    rates = chosen(results, scale, by_examples)
    rows = []
    for (label, panel), own in grouped(results, lambda result: (result["label"], result["panel"])).items():
        wanted = scale.rates_to_try(label)
        if not wanted:  # the file no longer contains the run
            continue
        tried = {result["sweep"]["lr"]: result for result in own}
        scores = [f"{rate:g}: {score(tried[rate], by_examples):.3f}" for rate in wanted if rate in tried]
        rate = rates.get((label, panel))
        choice = "not yet" if rate is None else short(rate)
        if rate is not None and not any(score(result, by_examples) for result in tried.values()):
            choice += ", but none learned"
        elif rate in (min(wanted), max(wanted)):
            choice += ", at the edge"
        rows.append([model_title(label), panel or "", ", ".join(scores), choice])
    what = "mean accuracy over the evaluations" if by_examples else "accuracy at the end"
    table = tabulate(rows, ["model", "panel", f"{what}, by learning rate", "chosen"], tablefmt="github")
    return f"The choice of `synthetic_training.figures.rates`:\n\n{table}"

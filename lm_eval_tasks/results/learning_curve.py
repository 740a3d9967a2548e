"""Learning curves: the accuracy of one training run's checkpoints by training step."""

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from dataset_builders.markdown import markdown_table
from lm_eval_tasks.results.intervals import score_interval, with_interval
from lm_eval_tasks.results.labels import without_step
from lm_eval_tasks.results.rows import row_labels
from lm_eval_tasks.results.score import Score
from lm_eval_tasks.results.table import intervals_note
from lm_eval_tasks.results.text import in_markdown


@dataclass(frozen=True)
class LearningCurve:
    """The scores of one training run's checkpoints on one benchmark.

    Attributes:
        name: the checkpoints' common label.
        steps: scores by training step, then by length.
    """

    name: str
    steps: dict[int, dict[int, Score]]

    @property
    def lengths(self) -> list[int]:
        return sorted({length for scores in self.steps.values() for length in scores})


def learning_curves(scores: Sequence[Score]) -> list[LearningCurve]:
    """The learning curve of each training run with at least two checkpoints among one benchmark's scores.

    Rows belong together if they differ only in a training step, as in ``step1000``, in the model's path,
    revision or subfolder.
    """
    runs: dict[Hashable, dict[int, dict[int, Score]]] = {}
    for score in scores:
        if score.checkpoint is not None:
            steps = runs.setdefault(score.checkpoint.training_run, {})
            steps.setdefault(score.checkpoint.step, {})[score.length] = score
    return [_learning_curve(steps) for steps in runs.values() if len(steps) > 1]


def _learning_curve(steps: dict[int, dict[int, Score]]) -> LearningCurve:
    labels = row_labels([score for scores in steps.values() for score in scores.values()])
    names = {without_step(one.label, step) for step, scores in steps.items() for one in scores.values()}
    name = re.sub(r"[@/=_ -]*\*", "", names.pop()).strip(" ,") if len(names) == 1 else ""
    return LearningCurve(name or " and ".join(labels[:2]), dict(sorted(steps.items())))


def learning_curve_table(curve: LearningCurve) -> str:
    """The main metric by training step as a Markdown table, with rows of steps and columns of lengths."""
    first = next(iter(next(iter(curve.steps.values())).values()))
    most = max(score.documents for scores in curve.steps.values() for score in scores.values())
    rows = [
        [step, *(_cell(scores.get(length), most) for length in curve.lengths)]
        for step, scores in curve.steps.items()
    ]
    headers = ["step", *(f"{length} {in_markdown(first.unit)}" for length in curve.lengths)]
    metric = first.main_metric or "score"
    all_scores = [score for scores in curve.steps.values() for score in scores.values()]
    return (
        f"{in_markdown(curve.name)}: {metric} by training step\n\n{markdown_table(headers, rows)}\n\n"
        f"{intervals_note(all_scores)}"
    )


def _cell(score: Score | None, most: int) -> str:
    if score is None or score.main_metric is None:
        return ""
    text = with_interval(score.main_value, score_interval(score, score.main_metric))
    return text if score.documents == most else f"{text} ({score.documents} docs)"

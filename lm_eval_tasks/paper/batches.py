"""Mean and standard deviation as the released code computes them, from lm-eval's samples.

For phone books and copies, they are taken over three batches of 32 documents; for SQuAD, over the first 30
paragraphs of a length. Both standard deviations divide by n, not by n - 1. Here, the batches are the first
documents of each task and the same for every model; the released code draws new documents for each model.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lm_eval_tasks.results.plots import Bars
from lm_eval_tasks.results.samples import read_samples, samples_file
from lm_eval_tasks.results.score import Score

BATCHES, BATCH_SIZE = 3, 32
PARAGRAPHS = 30
LEAST_PARAGRAPHS = 15  # the released code stops if there are fewer


def batch_statistics(values: Sequence[float]) -> tuple[float, float] | None:
    """Mean and standard deviation of the means of the batches; None if there are too few documents."""
    if len(values) < BATCHES * BATCH_SIZE:
        return None
    means = np.reshape(values[: BATCHES * BATCH_SIZE], (BATCHES, BATCH_SIZE)).mean(axis=1)
    return float(means.mean()), float(means.std())


def paragraph_statistics(values: Sequence[float]) -> tuple[float, float] | None:
    """Mean and standard deviation over the first paragraphs; None if there are too few."""
    if len(values) < LEAST_PARAGRAPHS:
        return None
    first = np.asarray(values[:PARAGRAPHS])
    return float(first.mean()), float(first.std())


def as_in_the_paper(scores: Sequence[Score]) -> list[Score]:
    """The scores with the paper's mean and standard deviation as the main metric's value and error.

    Scores without samples or with too few documents are left out.

    Raises:
        InputError: a file of samples is damaged.
    """
    found = []
    for score in scores:
        metric = score.main_metric
        if metric is None or not samples_file(score).is_file():
            continue
        values = [sample.values[metric] for sample in read_samples(score).values() if metric in sample.values]
        over_paragraphs = score.benchmark == "squad_v2_retrieval"
        statistics = paragraph_statistics(values) if over_paragraphs else batch_statistics(values)
        if statistics is not None:
            documents = min(len(values), PARAGRAPHS if over_paragraphs else BATCHES * BATCH_SIZE)
            found.append(replace(score, values={metric: statistics}, documents=documents))
    return found


def deviations(benchmark: str) -> Bars:
    """Bars of one standard deviation on each side."""
    over = f"{BATCHES} batches of {BATCH_SIZE}"
    if benchmark == "squad_v2_retrieval":
        over = f"the first paragraphs, at most {PARAGRAPHS}"
    return Bars(_ends, lambda _: f"± one standard deviation over {over}")


def _ends(score: Score, metric: str) -> tuple[float, float] | None:
    mean, deviation = score.values[metric]
    if mean is None or deviation is None:
        return None
    return mean - deviation, mean + deviation

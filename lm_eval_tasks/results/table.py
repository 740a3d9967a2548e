"""Every metric of one benchmark as a Markdown table, with rows of models and columns of lengths."""

from collections.abc import Iterable, Sequence

from dataset_builders.markdown import markdown_table
from lm_eval_tasks.results.identity import differing_settings
from lm_eval_tasks.results.intervals import method, score_interval, with_interval
from lm_eval_tasks.results.rows import row_labels
from lm_eval_tasks.results.score import SHARES, Score
from lm_eval_tasks.results.text import in_markdown


def table(scores: Sequence[Score]) -> str:
    """The scores of one benchmark, followed by notes for comparing them.

    A cell has the mean and its 95% confidence interval. It shows the number of documents if other cells have
    more, and a star marks scores with truncated documents.
    """
    lengths = sorted({score.length for score in scores})
    most = max(score.documents for score in scores)
    cells = {(s.label, m, s.length): _cell(s, m, most) for s in scores for m in s.values}
    rows = [
        [in_markdown(label), metric, *(cells.get((label, metric, length), "") for length in lengths)]
        for label in row_labels(scores)
        for metric in _in_order(m for s in scores if s.label == label for m in s.values)
    ]
    unit = in_markdown(scores[0].unit)
    text = markdown_table(["model", "metric", *(f"{n} {unit}" for n in lengths)], rows)
    return f"{text}\n\n{' '.join(_notes(scores, lengths, most))}"


def _in_order(metrics: Iterable[str]) -> list[str]:
    """Each metric once: first the scores, then the metrics that count documents with problems."""
    return sorted(dict.fromkeys(metrics), key=lambda metric: metric in SHARES)


def _cell(score: Score, metric: str, most: int) -> str:
    mean, _ = score.values[metric]
    if mean is not None and metric in SHARES:
        return f"{mean:.3f}"
    text = with_interval(mean, score_interval(score, metric))
    if score.truncated:
        text += " *"
    return text if score.documents == most else f"{text} ({score.documents} docs)"


def _notes(scores: Sequence[Score], lengths: Sequence[int], most: int) -> list[str]:
    counts = {score.documents for score in scores}
    fewer = " unless a cell shows another number" if len(counts) > 1 else ""
    notes = [f"{most} documents per length{fewer}.", intervals_note(scores)]
    if any(score.truncated for score in scores):
        notes.append(
            "* Some documents did not fit the model's context window (truncated) and count as wrong."
        )
    if any(mean is None for score in scores for mean, _ in score.values.values()):
        notes.append("'no score': the result file has no valid number there.")
    mixed = [n for n in lengths if len({s.document_set for s in scores if s.length == n}) > 1]
    if mixed:
        of_mixed = [[score for score in scores if score.length == n] for n in mixed]
        names = sorted({name for same_length in of_mixed for name in differing_settings(same_length)})
        why = f" (another {' or '.join(map(in_markdown, names))})" if names else ""
        notes.append(
            f"The models were evaluated on different documents at {', '.join(map(str, mixed))} "
            f"{in_markdown(scores[0].unit)}{why}, so their scores there cannot be compared exactly."
        )
    if any("truncated" not in score.values for score in scores):
        notes.append("If 'truncated' is missing, the model's context window is unknown.")
    return notes


def intervals_note(scores: Sequence[Score]) -> str:
    """The kind of interval in the brackets of each metric, as a sentence."""
    metrics = list(dict.fromkeys(m for score in scores for m in score.values if m not in SHARES))
    by_method: dict[str, list[str]] = {}
    for metric in metrics:
        by_method.setdefault(method(metric), []).append(metric)
    methods = "; ".join(f"{name} for {', '.join(own)}" for name, own in by_method.items())
    return f"Brackets: 95% confidence intervals ({methods})."

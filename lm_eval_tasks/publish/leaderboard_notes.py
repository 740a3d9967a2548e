"""What a reader of the leaderboard must know before comparing its scores."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from lm_eval_tasks.publish.submission import is_number, kept_checksums, model_notes
from lm_eval_tasks.results.reader import Score


def limited(score: Score) -> bool:
    """Whether it is of a part of the task's documents."""
    return score.asked_for is not None and score.documents != score.asked_for


def truncated(score: Score) -> bool:
    """Whether some documents did not fit the model's window."""
    return is_number(score.truncated) and score.truncated > 0


def said_truncated(score: Score) -> str:
    """The share of truncated documents in words."""
    known = "truncated" in score.values and is_number(score.truncated)
    return f"{score.truncated:.0%}" if known else "unknown"


def documents(score: Score) -> str:
    """Which documents a score is of: how many of how many, and their checksum's beginning."""
    of = f" of {score.asked_for}" if limited(score) else ""
    size = " (of how many is unknown)" if score.asked_for is None else ""
    return f"{score.documents}{of} documents{size}, checksum {str(score.document_set)[:12]}"


def _document_sets(scores: Sequence[Score]) -> dict[str, dict[str, list[str]]]:
    """Task -> checksum of its documents -> the models that were asked them."""
    sets: dict[str, dict[str, list[str]]] = {}
    for score in scores:
        sets.setdefault(score.task, {}).setdefault(score.document_set, []).append(score.model)
    return sets


def other_documents(scores: Sequence[Score]) -> set[tuple[str, str]]:
    """Tasks with checksums of documents that are not the benchmark's, or not those of the other models."""
    known = kept_checksums()
    return {
        (task, found)
        for task, sets in _document_sets(scores).items()
        for found in sets
        if (len(sets) > 1 if known.get(task) is None else found != known[task])
    }


def notes(scores: Sequence[Score], others: Sequence[str]) -> Iterator[str]:
    """One sentence or two for each thing to know.

    Args:
        others: names of tasks that the page leaves out.
    """
    partly = sorted({score.model for score in scores if limited(score)})
    if partly:
        yield (
            f"LIMITED: some scores of {', '.join(partly)} are of a part of the documents (--limit or "
            "--samples); their cells say how many of how many."
        )
    if any(map(truncated, scores)):
        yield (
            "Truncated documents did not fit the model's window and count as wrong; cells say their share, "
            "and their points in the charts are hollow."
        )
    yield from _notes_on_documents(scores)
    if any("truncated" not in score.values for score in scores):
        unknown = sorted({score.model for score in scores if "truncated" not in score.values})
        yield f"lm-eval could not tell the window, and so what was truncated, of {', '.join(unknown)}."
    for model, own in groupby(sorted(scores, key=lambda s: s.model), key=lambda s: s.model):
        yield from _notes_on_model(model, list(own))
    versions = sorted({str(score.metadata.get("repeat_after_me", "unknown")) for score in scores})
    if len(versions) > 1:
        yield f"The scores are of different versions of repeat-after-me: {', '.join(versions)}."
    if others:
        yield (
            f"Left out, since the benchmark's score is that of generated answers of its own lengths: "
            f"{', '.join(dict.fromkeys(others))}."
        )


def _notes_on_documents(scores: Sequence[Score]) -> Iterator[str]:
    known = kept_checksums()
    for task, sets in _document_sets(scores).items():
        if len(sets) > 1:
            said = "; ".join(f"{str(found)[:12]}: {', '.join(models)}" for found, models in sets.items())
            yield (
                f"{task}: the models were asked different documents (another seed, number or text), so "
                f"these scores cannot be compared exactly. Checksums: {said}."
            )
        elif known.get(task) is not None and known[task] not in sets:
            yield f"{task}: the documents are not the benchmark's own (another seed or number)."
    unknown = sorted({score.task for score in scores if known.get(score.task) is None})
    if unknown:
        yield (
            "This version keeps no checksum to hold the documents of these tasks against: "
            f"{', '.join(unknown)}."
        )


def _notes_on_model(model: str, scores: Sequence[Score]) -> Iterator[str]:
    around = sorted({name for score in scores for name in score.run.dressed})
    if around:
        yield f"{model} was asked with a {' and a '.join(around)}."
    if any(score.run.settings.get("gen_kwargs") for score in scores):
        yield f"{model} did not generate as the benchmark asks: it was given --gen_kwargs."
    if len({tuple(model_notes(score.run)) for score in scores}) > 1:
        yield f"{model}'s scores are of runs with different settings or revisions; see where they are from."

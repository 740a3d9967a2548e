"""Notes for readers of the leaderboard about scores that cannot be compared directly."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from lm_eval_tasks.publish.eligibility import kept_checksums
from lm_eval_tasks.results.score import Score


def truncated_text(score: Score) -> str:
    """The fraction of truncated documents in words."""
    return f"{score.truncated:.0%}" if "truncated" in score.values else "unknown"


def documents(score: Score) -> str:
    """The number of evaluated documents, the task's number of documents, and the start of their checksum."""
    of = f" of {score.task_documents}" if score.limited else ""
    size = " (of an unknown number)" if score.task_documents is None else ""
    return f"{score.documents}{of} documents{size}, checksum {score.document_set[:12]}"


def _document_sets(scores: Sequence[Score]) -> dict[str, dict[str, list[str]]]:
    """The evaluated models by task, then by checksum of the documents."""
    sets: dict[str, dict[str, list[str]]] = {}
    for score in scores:
        sets.setdefault(score.task, {}).setdefault(score.document_set, []).append(score.label)
    return sets


def other_documents(scores: Sequence[Score]) -> set[tuple[str, str]]:
    """(task, checksum) of documents that differ from the benchmark's or from those of other models."""
    known = kept_checksums()
    return {
        (task, found)
        for task, sets in _document_sets(scores).items()
        for found in sets
        if (len(sets) > 1 if known.get(task) is None else found != known[task])
    }


def notes(scores: Sequence[Score], others: Sequence[str]) -> Iterator[str]:
    """The notes, each in one or two sentences.

    Args:
        scores: the scores on the page.
        others: names of tasks that the page leaves out.
    """
    partly = sorted({score.label for score in scores if score.limited})
    if partly:
        yield (
            f"LIMITED: some scores of {', '.join(partly)} are from a part of the documents (--limit or "
            "--samples); their cells state how many documents were evaluated."
        )
    if any(score.truncated for score in scores):
        yield (
            "Truncated documents did not fit the model's context window and count as wrong; cells show their "
            "fraction, and the points in the charts are hollow."
        )
    yield from _notes_on_documents(scores)
    if any("truncated" not in score.values for score in scores):
        unknown = sorted({score.label for score in scores if "truncated" not in score.values})
        yield (
            f"lm-eval does not know the context window of {', '.join(unknown)}, so truncated documents could "
            "not be counted."
        )
    for model, own in groupby(sorted(scores, key=lambda s: s.label), key=lambda s: s.label):
        yield from _notes_on_model(model, list(own))
    versions = sorted({str(score.metadata.get("repeat_after_me") or "unknown") for score in scores})
    if len(versions) > 1:
        yield f"The scores are from different versions of repeat-after-me: {', '.join(versions)}."
    if others:
        yield (
            f"Left out, because the leaderboard lists only generated answers at the benchmark's own lengths: "
            f"{', '.join(dict.fromkeys(others))}."
        )


def _notes_on_documents(scores: Sequence[Score]) -> Iterator[str]:
    known = kept_checksums()
    for task, sets in _document_sets(scores).items():
        if len(sets) > 1:
            checksums = "; ".join(f"{found[:12]}: {', '.join(models)}" for found, models in sets.items())
            yield (
                f"{task}: the models were evaluated on different documents (another seed, number or text), "
                f"so these scores cannot be compared exactly. Checksums: {checksums}."
            )
        elif known.get(task) is not None and known[task] not in sets:
            yield f"{task}: the documents are not the benchmark's own; they were built with other metadata."
    unknown = sorted({score.task for score in scores if known.get(score.task) is None})
    if unknown:
        yield (
            "This version has no checksum with which to check the documents of these tasks: "
            f"{', '.join(unknown)}."
        )


def _notes_on_model(model: str, scores: Sequence[Score]) -> Iterator[str]:
    around = sorted({name for score in scores for name in score.run.prompt_wrapping})
    if around:
        yield f"{model} was evaluated with a {' and a '.join(around)}."
    shots = sorted({score.shots for score in scores if score.shots})
    if shots:
        yield f"{model} was given few-shot examples: {', '.join(map(str, shots))}."
    if any(score.run.gen_kwargs for score in scores):
        yield f"{model} did not generate with the benchmark's settings: --gen_kwargs was passed."

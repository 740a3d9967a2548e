"""What a reader of the leaderboard must know before comparing its scores."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from lm_eval_tasks.publish.eligibility import kept_checksums
from lm_eval_tasks.results.score import Score


def truncated_text(score: Score) -> str:
    """The share of truncated documents in words."""
    return f"{score.truncated:.0%}" if "truncated" in score.values else "unknown"


def documents(score: Score) -> str:
    """Which documents a score is of: how many of how many, and their checksum's beginning."""
    of = f" of {score.asked_for}" if score.limited else ""
    size = " (of how many is unknown)" if score.asked_for is None else ""
    return f"{score.documents}{of} documents{size}, checksum {score.document_set[:12]}"


def _document_sets(scores: Sequence[Score]) -> dict[str, dict[str, list[str]]]:
    """Task -> checksum of its documents -> the models that were asked them."""
    sets: dict[str, dict[str, list[str]]] = {}
    for score in scores:
        sets.setdefault(score.task, {}).setdefault(score.document_set, []).append(score.label)
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
    partly = sorted({score.label for score in scores if score.limited})
    if partly:
        yield (
            f"LIMITED: some scores of {', '.join(partly)} are of a part of the documents (--limit or "
            "--samples); their cells say how many of how many."
        )
    if any(score.truncated for score in scores):
        yield (
            "Truncated documents did not fit the model's window and count as wrong; cells say their share, "
            "and their points in the charts are hollow."
        )
    yield from _notes_on_documents(scores)
    if any("truncated" not in score.values for score in scores):
        unknown = sorted({score.label for score in scores if "truncated" not in score.values})
        yield f"lm-eval could not tell the window, and so what was truncated, of {', '.join(unknown)}."
    for model, own in groupby(sorted(scores, key=lambda s: s.label), key=lambda s: s.label):
        yield from _notes_on_model(model, list(own))
    versions = sorted({str(score.metadata.get("repeat_after_me") or "unknown") for score in scores})
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
            checksums = "; ".join(f"{found[:12]}: {', '.join(models)}" for found, models in sets.items())
            yield (
                f"{task}: the models were evaluated on different documents (another seed, number or text), "
                f"so these scores cannot be compared exactly. Checksums: {checksums}."
            )
        elif known.get(task) is not None and known[task] not in sets:
            yield f"{task}: the documents are not the benchmark's own, but of other metadata."
    unknown = sorted({score.task for score in scores if known.get(score.task) is None})
    if unknown:
        yield (
            "This version keeps no checksum to hold the documents of these tasks against: "
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
        yield f"{model} did not generate as the benchmark asks: it was given --gen_kwargs."

"""How often a forced task and its generated twin give a document the same score."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import TypeAlias

from dataset_builders import InputError
from dataset_builders.checks import printable
from dataset_builders.markdown import markdown_table
from lm_eval_tasks.results.rows import read_scores
from lm_eval_tasks.results.samples import Sample, read_samples, samples_file
from lm_eval_tasks.results.score import Score
from lm_eval_tasks.results.text import in_markdown
from lm_eval_tasks.twins import FORCED

log = logging.getLogger(__name__)

_Pairs: TypeAlias = dict[tuple[str, str, int], tuple[Score, Score]]
"""Twins by model, benchmark and length."""

_SHOWN = 80  # letters of a generated answer; lm-eval's logged samples contain all of it


@dataclass(frozen=True)
class Agreement:
    """The documents that both twins scored, by which of them counted the answer as correct.

    Attributes:
        both: number of documents that both twins counted as correct.
        neither: number of documents that neither twin counted as correct.
        generated_alone: number of documents that only the generating task counted as correct.
        forced_alone: number of documents that only the forced task counted as correct.
        differing: the generated answers to the documents on which the twins differ, by id.
    """

    both: int
    neither: int
    generated_alone: int
    forced_alone: int
    differing: dict[str, str]

    @property
    def documents(self) -> int:
        return self.both + self.neither + self.generated_alone + self.forced_alone


def agreements(paths: Iterable[Path]) -> dict[tuple[str, str, int], Agreement]:
    """The agreement of both twins by document, for every (model, benchmark, length) that has both.

    A warning names twins that are left out: those whose samples were not logged, and those of tasks with
    several questions per document, whose answers are not scored as right or wrong.

    Args:
        paths: result files of runs with ``--log_samples``, or folders that contain them.

    Raises:
        InputError: there are no twins, no samples were logged, or twins were evaluated on different
            documents.
    """
    scores = {(s.label, s.benchmark, s.length): s for s in read_scores(paths)}
    pairs = {
        key: (score, twin)
        for key, score in scores.items()
        if (twin := scores.get((score.label, score.benchmark + FORCED, score.length)))
    }
    if not pairs:
        raise InputError(
            "the results contain no task together with its forced twin; run both, as in "
            "phone_book_20,phone_book_20_forced"
        )
    pairs = _without(pairs, _have_verdicts, "its answers are not scored as right or wrong")
    pairs = _without(pairs, _have_samples, "lm_eval ran without --log_samples")
    return {key: _compare(*twins) for key, twins in pairs.items()}


def _have_verdicts(twins: tuple[Score, Score]) -> bool:
    return all("exact_match" in one.values for one in twins)


def _have_samples(twins: tuple[Score, Score]) -> bool:
    return all(samples_file(one).is_file() for one in twins)


def _without(pairs: _Pairs, wanted: Callable[[tuple[Score, Score]], bool], reason: str) -> _Pairs:
    """The wanted pairs, or all if none is wanted, with a warning about each pair that is left out."""
    kept = {key: twins for key, twins in pairs.items() if wanted(twins)} or pairs
    for label, benchmark, length in sorted(pairs.keys() - kept.keys()):
        log.warning("left out: %s at %d of %s, because %s", benchmark, length, printable(label), reason)
    return kept


def _compare(score: Score, twin: Score) -> Agreement:
    generated, forced = read_samples(score), read_samples(twin)
    ids = [i for i in generated if i in forced]
    if not ids:
        raise InputError(f"{score.task} and its forced twin were evaluated on different documents")
    verdicts = [(_is_right(generated[i], score), _is_right(forced[i], twin)) for i in ids]
    differing = [i for i, (one, other) in zip(ids, verdicts, strict=True) if one != other]
    return Agreement(
        both=verdicts.count((True, True)),
        neither=verdicts.count((False, False)),
        generated_alone=verdicts.count((True, False)),
        forced_alone=verdicts.count((False, True)),
        differing={i: generated[i].text for i in differing},
    )


def _is_right(sample: Sample, score: Score) -> bool:
    if "exact_match" not in sample.values:
        raise InputError(f"the samples of {score.task} lack exact_match; run lm_eval again")
    return sample.values["exact_match"] == 1.0


def agreement_table(found: dict[tuple[str, str, int], Agreement]) -> str:
    """A Markdown table of agreements, and one line per document on which the twins differ."""
    headers = ["model", "benchmark", "length", "documents", "agree", "both right", "both wrong"]
    headers += ["generated alone", "forced alone"]
    rows = []
    for (model, benchmark, length), a in sorted(found.items()):
        agree = f"{(a.both + a.neither) / a.documents:.3f}"
        start = [in_markdown(model), benchmark, length, a.documents, agree]
        rows.append([*start, a.both, a.neither, a.generated_alone, a.forced_alone])
    lines = [markdown_table(headers, rows), ""]
    for a in found.values():
        lines += [
            f"{printable(i)}: generated {printable(repr(shorten(text, _SHOWN)))}"
            for i, text in a.differing.items()
        ]
    return "\n".join(lines)

"""How often a forced task and its generated twin score a document the same."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten

from tabulate import tabulate

from dataset_builders import InputError
from lm_eval_tasks.results.reader import Score, read_scores

_FORCED = "_forced"
_SHOWN = 80  # letters of a generated answer; the samples that lm-eval logged have the whole


@dataclass(frozen=True)
class Agreement:
    """The documents that both twins scored, by who found the answer.

    Attributes:
        both, neither, generated_alone, forced_alone: numbers of documents.
        differing: ids of the documents on which the twins differ, with what was generated there.
    """

    both: int
    neither: int
    generated_alone: int
    forced_alone: int
    differing: dict[str, str]

    @property
    def documents(self) -> int:
        return self.both + self.neither + self.generated_alone + self.forced_alone


@dataclass(frozen=True)
class _Sample:
    right: bool
    text: str


def agreements(paths: Iterable[Path]) -> dict[tuple[str, str, int], Agreement]:
    """For every (model, benchmark, length) with both twins: their agreement a document.

    Args:
        paths: result files of runs with ``--log_samples``, or folders that hold them.

    Raises:
        InputError: no twins, or their samples were not logged, or not of the same documents.
    """
    scores = {(s.model, s.benchmark, s.length): s for s in read_scores(paths)}
    pairs = {
        key: (score, twin)
        for key, score in scores.items()
        if (twin := scores.get((score.model, score.benchmark + _FORCED, score.length)))
    }
    if not pairs:
        raise InputError(
            "no task stands there beside its forced twin; run both, as in phone_book_20,phone_book_20_forced"
        )
    return {key: _compare(_samples(one), _samples(other), one.task) for key, (one, other) in pairs.items()}


def _samples(score: Score) -> dict[str, _Sample]:
    date = score.file.stem.removeprefix("results_")
    file = score.file.with_name(f"samples_{score.task}_{date}.jsonl")
    if not file.exists():
        raise InputError(f"{file} does not exist; run lm_eval with --log_samples")
    try:
        with file.open(encoding="utf-8") as lines:  # lm-eval's lines end in newlines alone
            rows = [json.loads(line) for line in lines]
        return {
            row["doc"]["id"]: _Sample(row["exact_match"] == 1.0, str(row["filtered_resps"][0]))
            for row in rows
        }
    except (ValueError, KeyError, TypeError, IndexError):
        raise InputError(f"{file} is not a whole file of lm-eval's samples; run lm_eval again") from None


def _compare(generated: dict[str, _Sample], forced: dict[str, _Sample], task: str) -> Agreement:
    ids = [i for i in generated if i in forced]
    if not ids:
        raise InputError(f"{task} and its forced twin were asked different documents")
    verdicts = [(generated[i].right, forced[i].right) for i in ids]
    return Agreement(
        both=verdicts.count((True, True)),
        neither=verdicts.count((False, False)),
        generated_alone=verdicts.count((True, False)),
        forced_alone=verdicts.count((False, True)),
        differing={i: generated[i].text for i in ids if generated[i].right != forced[i].right},
    )


def agreement_table(found: dict[tuple[str, str, int], Agreement]) -> str:
    """A Markdown table of agreements, and a line for each document on which the twins differ."""
    headers = ["model", "benchmark", "length", "documents", "agree", "both right", "both wrong"]
    headers += ["generated alone", "forced alone"]
    rows = []
    for (model, benchmark, length), a in sorted(found.items()):
        agree = f"{(a.both + a.neither) / a.documents:.3f}"
        rows.append([model, benchmark, length, a.documents, agree, a.both, a.neither])
        rows[-1] += [a.generated_alone, a.forced_alone]
    lines = [tabulate(rows, headers, tablefmt="github", disable_numparse=True), ""]
    for a in found.values():
        lines += [f"{i}: generated {shorten(text, _SHOWN)!r}" for i, text in a.differing.items()]
    return "\n".join(lines)

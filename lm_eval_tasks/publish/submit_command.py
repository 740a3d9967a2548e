"""``python -m lm_eval_tasks submit``: send lm-eval's results to leaderboards on the Hub."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from dataset_builders import InputError
from dataset_builders.command_help import DEFAULT_IN_TEXT
from dataset_builders.extras import require
from dataset_builders.files import check_new_file

_ADDRESS = re.compile(r"https?://[^\s/]+(/\S*)?")
_COMMIT = re.compile(r"[0-9a-f]{40}")

if TYPE_CHECKING:
    from lm_eval_tasks.results.score import Score


def submit(
    results: Annotated[tuple[Path, ...], tyro.conf.Positional, DEFAULT_IN_TEXT],
    model: str,
    dataset: str,
    dataset_revision: Annotated[str | None, DEFAULT_IN_TEXT] = None,
    tasks: Annotated[str | None, DEFAULT_IN_TEXT] = None,
    source_url: str | None = None,
    create_pr: bool = True,
    dry_run: bool = False,
    allow_limited: bool = False,
    every_eval_ever: Path | None = None,
    organization: str | None = None,
) -> None:
    """Submit results to a model's repository on the Hub, for leaderboards.

    Args:
        results: results_*.json of one model, or folders that contain them.
        model: ORG/NAME of the evaluated model on the Hub.
        dataset: ORG/NAME of the benchmark's data set on the Hub.
        dataset_revision: Branch, tag or commit of the data set (default: its main branch).
        tasks: Tasks to submit, separated by commas (default: all tasks of the leaderboard).
        source_url: Link to further information, such as the run's log.
        create_pr: Open a pull request instead of committing to the model's main branch.
        dry_run: Print the entries without contacting the Hub.
        allow_limited: Accept results of runs with --limit; their entries are marked as limited.
        every_eval_ever: File for a record in the Every Eval Ever schema.
        organization: Organization that ran the evaluation, for the Every Eval Ever record.

    Raises:
        InputError: the results do not qualify for a leaderboard, or the Hub refuses.
    """
    require("publish")
    from dataset_builders.hub import check_repo_id
    from lm_eval_tasks.publish import submission
    from lm_eval_tasks.publish import submit as publishing
    from lm_eval_tasks.publish.eligibility import check, is_on_hub, leaderboard_scores
    from lm_eval_tasks.results.rows import read_scores

    for name in (model, dataset):
        check_repo_id(name)
    if every_eval_ever is not None:
        check_new_file(every_eval_ever, "--every-eval-ever")
    _check_address(source_url)
    chosen = None if tasks is None else [name.strip() for name in tasks.split(",")]
    scores, others = leaderboard_scores(read_scores(results), chosen)
    check(scores, model, allow_limited=allow_limited)

    if others:
        _remark(f"left out, because no leaderboard lists them: {', '.join(others)}")
    given = scores[0].run.model
    if not is_on_hub(given):
        _remark(f"the results are from a local model ({Path(given).name}), assumed to be {model}")
    revision = dataset_revision
    if dry_run:
        if revision is not None and not _COMMIT.fullmatch(revision):
            _remark(f"the entries will name the commit of {revision}, which a dry run does not look up")
            revision = None
        _remark_unchecked([score.task for score in scores], dataset)
        entries = submission.entries(scores, dataset, revision=revision, source=source_url)
        print(publishing.to_yaml(entries), end="")
    else:
        api = publishing.client()
        revision = publishing.check_dataset(api, dataset, revision, scores)
        entries = submission.entries(scores, dataset, revision=revision, source=source_url)
        print(publishing.submit(api, model, entries, create_pr=create_pr))
    if every_eval_ever is not None:
        _write_record(every_eval_ever, scores, model, dataset, revision, organization)


def _check_address(url: str | None) -> None:
    if url is not None and not _ADDRESS.fullmatch(url):
        raise InputError(f"--source-url must be an address such as https://example.org/log, not {url!r}")


def _remark(text: str) -> None:
    print(f"note: {text}", file=sys.stderr)


def _remark_unchecked(tasks: list[str], dataset: str) -> None:
    from lm_eval_tasks.publish.eligibility import kept_checksums

    kept = kept_checksums()
    unknown = [task for task in tasks if kept.get(task) is None]
    if unknown:
        _remark(
            f"this version has no checksum of the documents of {', '.join(unknown)}; without --dry-run, they "
            f"are checked against the manifest of {dataset}"
        )


def _write_record(
    file: Path,
    scores: Sequence["Score"],
    model: str,
    dataset: str,
    revision: str | None,
    organization: str | None,
) -> None:
    import json
    import time

    from dataset_builders.files import atomic_file
    from lm_eval_tasks.publish.every_eval_ever import record

    content = record(
        scores,
        model,
        dataset,
        retrieved=time.time(),
        revision=revision,
        organization=organization,
    )
    with atomic_file(file) as stream:
        stream.write((json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())
    print(f"written: {file}", file=sys.stderr)

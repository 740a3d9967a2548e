"""``python -m lm_eval_tasks submit``: from lm-eval's results to an entry of a leaderboard."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dataset_builders import InputError
from dataset_builders.extras import require

if TYPE_CHECKING:
    from lm_eval_tasks.results.reader import Score


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments; importing this and calling it is cheap."""
    parser.add_argument(
        "results", nargs="+", type=Path, help="results_*.json of one model, or a folder that holds them"
    )
    parser.add_argument(
        "--model", required=True, metavar="ORG/NAME", help="the model on the Hub that the results are of"
    )
    parser.add_argument(
        "--dataset", required=True, metavar="ORG/NAME", help="the benchmark's data set on the Hub"
    )
    parser.add_argument(
        "--dataset-revision", metavar="REV", help="its branch, tag or commit (default: its main branch)"
    )
    parser.add_argument(
        "--tasks", metavar="A,B", help="submit these alone (default: all that a leaderboard has)"
    )
    parser.add_argument("--source-url", metavar="URL", help="where readers find more, such as the run's log")
    parser.add_argument(
        "--create-pr",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="open a pull request (default), or commit to the model's main branch",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the entries, and ask no Hub")
    parser.add_argument(
        "--allow-limited", action="store_true", help="let results of --limit pass; their entries say it"
    )
    parser.add_argument(
        "--every-eval-ever", type=Path, metavar="FILE", help="also write a record of Every Eval Ever's schema"
    )
    parser.add_argument(
        "--organization", metavar="NAME", help="who ran the evaluation, for Every Eval Ever's record"
    )


def run(arguments: argparse.Namespace) -> None:
    """Check the results, then submit or print their entries.

    Raises:
        InputError: the results are not the benchmark's, or the Hub refuses.
    """
    require("publish")
    from dataset_builders.release.hub import check_repo_id
    from lm_eval_tasks.publish import submission, submit
    from lm_eval_tasks.results.reader import read_scores

    for name in (arguments.model, arguments.dataset):
        check_repo_id(name)
    _check_file(arguments.every_eval_ever)
    tasks = None if arguments.tasks is None else [name.strip() for name in arguments.tasks.split(",")]
    scores, others = submission.of_the_benchmark(read_scores(arguments.results), tasks)
    submission.check(scores, arguments.model, allow_limited=arguments.allow_limited)

    if others:
        _remark(f"left out, since no leaderboard has them: {', '.join(others)}")
    given = scores[0].run.model
    if not submission.is_on_hub(given):
        _remark(
            f"the results are of a local model ({Path(given).name}), taken for {arguments.model} on your word"
        )
    revision = arguments.dataset_revision
    if arguments.dry_run:
        _remark_unchecked([score.task for score in scores], arguments.dataset)
        entries = submission.entries(
            scores, arguments.dataset, revision=revision, source=arguments.source_url
        )
        print(submit.to_yaml(entries), end="")
    else:
        api = submit.client()
        revision = submit.check_dataset(api, arguments.dataset, revision, scores)
        entries = submission.entries(
            scores, arguments.dataset, revision=revision, source=arguments.source_url
        )
        print(submit.submit(api, arguments.model, entries, create_pr=arguments.create_pr))
    if arguments.every_eval_ever is not None:
        _write_record(arguments, scores, revision)


def _remark(text: str) -> None:
    print(f"note: {text}", file=sys.stderr)


def _remark_unchecked(tasks: list[str], dataset: str) -> None:
    from lm_eval_tasks.publish.submission import kept_checksums

    kept = kept_checksums()
    unknown = [task for task in tasks if kept.get(task) is None]
    if unknown:
        _remark(
            f"this version keeps no checksum of the documents of {', '.join(unknown)}; without --dry-run "
            f"they are held against the manifest of {dataset}"
        )


def _check_file(file: Path | None) -> None:
    if file is not None and file.exists():
        raise InputError(f"{file} exists and is not overwritten; give --every-eval-ever another name")


def _write_record(arguments: argparse.Namespace, scores: Sequence["Score"], revision: str | None) -> None:
    import json
    import time

    from dataset_builders.files import atomic_file
    from lm_eval_tasks.publish.every_eval_ever import record

    content = record(
        scores,
        arguments.model,
        arguments.dataset,
        retrieved=time.time(),
        revision=revision,
        organization=arguments.organization,
    )
    file = arguments.every_eval_ever
    _check_file(file)
    with atomic_file(file) as stream:
        stream.write((json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())
    print(f"written: {file}", file=sys.stderr)

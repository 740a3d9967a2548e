"""Update the results, tables and pictures of the documents.

    python -m lm_eval_tasks.documents

evaluates the models of ``runs.yml`` whose weights or settings differ from the committed results, writes
``results/REPORT/results_*.json`` and the tables ``results/REPORT.md``, draws the pictures, and copies the
tables into the documents. Samples and completed runs are kept in ``results/documents``, which git ignores, so
that an interrupted command can continue.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from dataset_builders import InputError
from dataset_builders.command_line import cli, command_errors
from dataset_builders.document_tables import check_tables, write_tables
from dataset_builders.files import write_text
from lm_eval_tasks.documents.evaluate import evaluate_all, result_file
from lm_eval_tasks.documents.pages import copy_pictures, models_page, picture_of_page, read, report_page
from lm_eval_tasks.documents.plan import REPOSITORY, Evaluation, Plan
from lm_eval_tasks.documents.state_page import state_page

RESULTS = Path(__file__).with_name("results")
CACHE = REPOSITORY / "results" / "documents"


def stale(plan: Plan, results: Path = RESULTS) -> list[str]:
    """The reports that are missing or belong to other weights or settings."""
    return [name for name in plan.reports if not _is_up_to_date(plan, name, results)]


def _is_up_to_date(plan: Plan, name: str, results: Path) -> bool:
    evaluations = list(plan.evaluations(name))
    here = set((results / name).glob("*.json"))
    wanted = {result_file(results, one) for one in evaluations}
    return (
        here == wanted
        and (results / f"{name}.md").is_file()
        and all(one.matches(result_file(results, one)) for one in evaluations)
    )


def make(plan: Plan, names: Sequence[str], cache: Path, workers: int) -> None:
    """Run the evaluations that these reports need, and write the reports."""
    by_name = {name: list(plan.evaluations(name)) for name in names}
    evaluate_all([one for own in by_name.values() for one in own], cache, workers)
    for name, evaluations in by_name.items():
        _write_report(plan, name, evaluations, cache)


def _write_report(plan: Plan, name: str, evaluations: Sequence[Evaluation], cache: Path) -> None:
    report, found = plan.reports[name], read(cache, evaluations)
    page = report_page(name, evaluations, found, cache)
    pictures = copy_pictures(report, found, plan.repository)
    for run, picture in report.pages.items():
        files = [result_file(cache, one) for one in evaluations if one.name == run]
        if picture_of_page(files, plan.repository / picture):
            pictures.append(plan.repository / picture)
        else:
            print(f"{picture} was not drawn, because chromium is not installed")
    for file in (RESULTS / name).glob("*.json"):
        file.unlink()
    for one in evaluations:
        write_text(result_file(RESULTS, one), result_file(cache, one).read_text(encoding="utf-8"))
    write_text(RESULTS / f"{name}.md", page)
    for file in (RESULTS / f"{name}.md", *pictures):
        print(f"written: {file.relative_to(plan.repository)}")


def _documents(
    reports: tuple[str, ...] = (),
    cache: Path = CACHE,
    workers: int = os.cpu_count() or 1,
    check: bool = False,
) -> None:
    """Update the results, tables and pictures of the documents.

    Args:
        reports: Names of reports to rewrite from the cache even if they are up to date.
        cache: Folder for samples and completed runs.
        workers: Number of evaluation processes.
        check: Evaluate and write nothing, and fail if something is not up to date.
    """
    plan = Plan()
    if unknown := set(reports) - set(plan.reports):
        raise InputError(
            f"there is no report {', '.join(sorted(unknown))}; the reports are {', '.join(plan.reports)}"
        )
    outdated = stale(plan)
    if check:
        if outdated:
            raise InputError(
                f"the results of {', '.join(outdated)} are not from the current models and settings; run "
                "`python -m lm_eval_tasks.documents`"
            )
        check_tables()
        return
    make(plan, [name for name in plan.reports if name in {*outdated, *reports}], cache, workers)
    write_text(RESULTS / "models.md", models_page(plan.bundled()))
    write_text(RESULTS / "state.md", state_page(plan.bundled()))
    for document in write_tables():
        print(f"tables written: {document.relative_to(REPOSITORY)}; check what its text says about them")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command. For invalid input, print one sentence and exit with status 1."""
    with command_errors("interrupted; the same command continues"):
        cli(_documents, prog="python -m lm_eval_tasks.documents", args=arguments)


if __name__ == "__main__":
    main()

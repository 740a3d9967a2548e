"""``python -m lm_eval_tasks paper``."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from dataset_builders import InputError
from dataset_builders.checks import check_integer
from dataset_builders.command_help import DEFAULT_IN_TEXT

if TYPE_CHECKING:
    from lm_eval_tasks.paper.plan import Files, Run


def paper(
    out: Path,
    model_list: str = "paper",
    models: Annotated[tuple[str, ...], DEFAULT_IN_TEXT] = (),
    tasks: Annotated[tuple[str, ...], DEFAULT_IN_TEXT] = (),
    gpus: Annotated[int | None, DEFAULT_IN_TEXT] = None,
    dtype: Annotated[Literal["float32", "float16", "bfloat16"] | None, DEFAULT_IN_TEXT] = None,
    batch_size: Annotated[int | None, DEFAULT_IN_TEXT] = None,
    metadata: Annotated[str, tyro.conf.arg(metavar="JSON")] = "",
    limit: Annotated[int | None, DEFAULT_IN_TEXT] = None,
    batches: bool = False,
    dry_run: bool = False,
) -> None:
    """Evaluate pretrained models on the paper's experiments, draw its figures, and compare with its claims.

    Each model runs on each experiment in its own lm_eval process, one per GPU. To continue after an
    interruption, run the same command again: complete runs are not repeated. paper.md in the output folder
    contains the figures, the paper's claims with the findings for each, and the deviations from the released
    code. It shows every complete run of the list with these settings, including runs of models and tasks that
    the command does not name.

    Args:
        out: Output folder.
        model_list: List of models: paper, paper_mamba_ssm, recurrent_and_hybrid, or a YAML file.
        models: Names of models from the list (default: all).
        tasks: Experiments: phone_book, c4_copy, c4_copy_random, squad_v2_retrieval (default: all).
        gpus: Number of GPUs to use (default: all); without a GPU, the number of processes at a time.
        dtype: Precision of all models (default: as in the list).
        batch_size: Batch size of all models (default: as in the list).
        metadata: Arguments of the documents, as in lm_eval's --metadata: num_docs, source, tokenizer,
            squad_source, dataset and others. Each experiment gets the keys that it has.
        limit: Number of documents to evaluate of each task, from the first (default: all).
        batches: Also draw mean and standard deviation over three batches of 32, as in the paper.
        dry_run: Check what can be checked offline, and print the commands and the expected hours on one H100
            without running anything.

    Raises:
        InputError: an argument is invalid, paper.md or a figure would replace a file that this command did
            not write, or a run failed; the results of the other runs are kept.
        Interrupted: Ctrl-C or SIGTERM; complete runs, and the answers of other runs so far, are kept.
    """
    from dataset_builders.files import check_folder
    from lm_eval_tasks.paper.experiments import (
        check_metadata,
        experiments,
        read_metadata,
        select_experiments,
    )
    from lm_eval_tasks.paper.figures import check_figures
    from lm_eval_tasks.paper.model_list import read_model_list, select
    from lm_eval_tasks.paper.page import check_page
    from lm_eval_tasks.paper.plan import Files, plan, with_complete_runs

    for name, number in (("--gpus", gpus), ("--limit", limit), ("--batch-size", batch_size)):
        if number is not None:
            check_integer(name, number, 1)
    listed = read_model_list(model_list)
    chosen_models = select(listed, models, dtype, batch_size)
    given = read_metadata(metadata)
    runs = plan(chosen_models, select_experiments(tasks), given, limit)
    for run in runs:
        check_metadata(run.experiment, run.metadata, run.model.batch_size)
    files = Files(out)
    check_folder(out)
    check_page(files.page)
    check_figures(experiments().values(), out)
    if dry_run:
        _print_plan(runs, files)
        return
    failures = _run(runs, files, gpus)
    shown = with_complete_runs(runs, listed.models, given, limit, dtype, files)
    _show(listed.title, shown, files, batches=batches)
    print(f"written: {files.page}")
    if failures:
        raise InputError("; ".join(failures))


def _print_plan(runs: "Sequence[Run]", files: "Files") -> None:
    from lm_eval_tasks.paper.model_check import check_models_offline
    from lm_eval_tasks.paper.plan_text import plan_text

    remaining = [run.model for run in runs if not files.is_complete(run)]
    for note in check_models_offline(remaining):
        print(f"note: {note}", file=sys.stderr)
    print(plan_text(runs, files))


def _run(runs: "Sequence[Run]", files: "Files", gpus: int | None) -> list[str]:
    """Run everything that is not complete yet; return one sentence per failed run."""
    from dataset_builders.interruption import interrupt_on_sigterm
    from dataset_builders.workers import worker_slots
    from lm_eval_tasks.paper.estimate import hours
    from lm_eval_tasks.paper.execute import device_of, do_runs
    from lm_eval_tasks.paper.model_check import check_models

    remaining = [run for run in runs if not files.is_complete(run)]
    print(f"{len(runs)} runs, {len(runs) - len(remaining)} complete, {len(remaining)} to do", flush=True)
    if not remaining:
        return []
    slots = worker_slots(gpu=True)
    if gpus is not None and device_of(slots) != "cpu" and gpus > len(slots):
        raise InputError(f"--gpus is {gpus}, but only {len(slots)} can be used")
    slots = slots[:gpus]
    check_models([run.model for run in remaining], device_of(slots))
    interrupt_on_sigterm()
    with _only_one(files), _kept_when_interrupted(runs, files):
        # the longest runs first, so that no GPU idles for long at the end
        return do_runs(sorted(remaining, key=hours, reverse=True), slots, files)


def _show(title: str, runs: "Sequence[Run]", files: "Files", *, batches: bool) -> None:
    """Draw the results of complete runs, and write the page."""
    from dataset_builders.files import write_text
    from lm_eval_tasks.paper.figures import draw_figures, read_scores
    from lm_eval_tasks.paper.page import page_text

    scores = read_scores(runs, files)
    drawn = draw_figures([run.model for run in runs], scores, files.out, batches=batches)
    write_text(files.page, page_text(title, runs, files, scores, drawn))


@contextmanager
def _only_one(files: "Files") -> Iterator[None]:
    """Raise InputError if another process is working in the folder."""
    from filelock import FileLock, Timeout

    try:
        files.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{files.out} cannot be written: {error.strerror}") from None
    try:
        with FileLock(files.out / ".lock", timeout=0):
            yield
    except Timeout:
        raise InputError(f"another process is working in {files.out}; wait for it to end") from None


@contextmanager
def _kept_when_interrupted(runs: "Sequence[Run]", files: "Files") -> Iterator[None]:
    """After Ctrl-C or SIGTERM, say which results are kept."""
    from dataset_builders.interruption import Interrupted

    try:
        yield
    except KeyboardInterrupt as stop:
        complete = sum(map(files.is_complete, runs))
        message = (
            f"interrupted: {complete} of {len(runs)} runs are complete in {files.runs}; run the same command "
            "again to continue the others from the answers they already have"
        )
        raise (
            Interrupted(message, stop.number) if isinstance(stop, Interrupted) else Interrupted(message)
        ) from None

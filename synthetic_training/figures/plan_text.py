"""The plan of a figure as text: finished and remaining runs, folders, and expected GPU hours."""

from collections.abc import Sequence
from pathlib import Path

from tabulate import tabulate

from synthetic_training.figures.estimate import expected_cpu_hours, expected_gpu_hours
from synthetic_training.figures.plan import Run
from synthetic_training.figures.progress import last_step, tokens
from synthetic_training.training.run_folder import MODEL


def plan_text(
    runs: Sequence[Run], remaining: Sequence[Run], title: str, results: Path, folder: Path, at_once: int
) -> str:
    """The plan, with one line per run that has no result yet.

    Args:
        runs: all runs of the figure.
        remaining: runs that have no result yet.
        title: title of the figure at its scale.
        results: file of the results.
        folder: folder of the runs and their logs.
        at_once: number of runs that can run at the same time.
    """
    head = f"{title}: {runs_text(runs)}, {len(runs) - len(remaining)} finished, {len(remaining)} to do"
    if not remaining:
        return f"{head}\nresults in {results}"
    lines = [f"{head}, {min(at_once, len(remaining))} at a time", f"results in {results}"]
    lines.append(f"logs in {folder}{'/'}RUN.log; each run has its own folder next to its log")
    rows = [[str(run), f"{run.config.steps:,}", f"{tokens(run):,}", _state(folder / run.name, run), run.name]
            for run in remaining]  # fmt: skip
    headers = ["run", "steps", "tokens", "state", "folder and log"]
    lines += ["", tabulate(rows, headers, colalign=("left", "right", "right", "left", "left")), ""]
    total = f"{sum(map(tokens, remaining)):,} tokens in total, unless runs end early"
    hours, known = expected_gpu_hours(remaining)
    if known:
        missing = len(remaining) - known
        but = f" (without {missing} runs whose speed is unknown)" if missing else ""
        total += f"; about {hours:.2f} GPU hours at the speeds measured on an H200{but}"
    hours, known = expected_cpu_hours(remaining)
    if known:
        total += f"; on a CPU, {known} of these runs took {hours:.2f} hours in all"
    return "\n".join([*lines, total])


def runs_text(runs: Sequence[Run]) -> str:
    """The number of runs in words."""
    return f"{len(runs)} run" + ("s" if len(runs) != 1 else "")


def log_of(run: Run, folder: Path) -> Path:
    """The file with everything that a run prints."""
    return folder / f"{run.name}.log"


def _state(folder: Path, run: Run) -> str:
    """The state of a run that has no result yet."""
    if (folder / MODEL).exists():
        return "trained, not evaluated"
    step = last_step(folder)
    return f"at step {step:,} of {run.config.steps:,}" if step else "new"

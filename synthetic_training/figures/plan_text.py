"""The plan as text: finished and remaining runs, folders, and expected GPU hours."""

from collections.abc import Sequence
from pathlib import Path

from tabulate import tabulate

from synthetic_training.figures.estimate import expected_cpu_hours, expected_gpu_hours
from synthetic_training.figures.ledger import Ledger
from synthetic_training.figures.plan import Run
from synthetic_training.figures.progress import last_step, tokens
from synthetic_training.figures.stages import Stage
from synthetic_training.training.run_folder import MODEL


def plan_text(ledger: Ledger, folder: Path, at_once: int) -> str:
    """The plan, with one line per run that has no result yet.

    Args:
        ledger: the stages and their results.
        folder: folder of the runs and their logs.
        at_once: number of runs that can run at the same time.
    """
    waiting = ledger.waiting()
    works = ledger.work()
    parts = []
    for stage in ledger.stages:
        ready = [work.run for work in works if stage in work.stages]
        later = [run for one, run in waiting if one is stage]
        parts.append(_stage_text(stage, ledger.file(stage), ready, later, folder, at_once))
    runs = list({run.name: run for run in [*(work.run for work in works), *(r for _, r in waiting)]}.values())
    if not runs:
        return "\n".join(parts)
    return "\n\n".join([*parts, _total(runs)])


def _stage_text(
    stage: Stage, results: Path, ready: Sequence[Run], later: Sequence[Run], folder: Path, at_once: int
) -> str:
    count, left = len(stage.planned), len(ready) + len(later)
    head = f"{stage.stem}: {runs_text(count)}, {count - left} finished, {left} to do"
    if not left:
        return f"{head}\nresults in {results}"
    lines = [f"{head}, {min(at_once, left)} at a time", f"results in {results}"]
    lines.append(f"logs in {folder}{'/'}RUN.log; each run has its own folder next to its log")
    rows = [_row(run, _state(folder / run.name, run), run.name) for run in ready]
    rows += [_row(run, "waits for its learning rate", "") for run in later]
    headers = ["run", "steps", "tokens", "state", "folder and log"]
    lines += ["", tabulate(rows, headers, colalign=("left", "right", "right", "left", "left"))]
    return "\n".join(lines)


def _row(run: Run, state: str, name: str) -> list[str]:
    return [str(run), f"{run.config.steps:,}", f"{tokens(run):,}", state, name]


def _total(runs: Sequence[Run]) -> str:
    total = f"{sum(map(tokens, runs)):,} tokens in total, unless runs end early"
    hours, known = expected_gpu_hours(runs)
    if known:
        missing = len(runs) - known
        but = f" (without {missing} runs whose speed is unknown)" if missing else ""
        total += f"; about {hours:.2f} GPU hours at the speeds measured on an H200{but}"
    hours, known = expected_cpu_hours(runs)
    if known:
        total += f"; on a CPU core, {known} of these runs took {hours:.2f} hours, one after the other"
    return total


def runs_text(runs: int) -> str:
    """A number of runs in words."""
    return f"{runs} run" + ("s" if runs != 1 else "")


def log_of(run: Run, folder: Path) -> Path:
    """The file with everything that a run prints."""
    return folder / f"{run.name}.log"


def _state(folder: Path, run: Run) -> str:
    """The state of a run that has no result yet."""
    if (folder / MODEL).exists():
        return "trained, not evaluated"
    step = last_step(folder)
    return f"at step {step:,} of {run.config.steps:,}" if step else "new"

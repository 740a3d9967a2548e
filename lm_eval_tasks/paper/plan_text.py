"""The plan of ``paper`` as text: the runs, their commands, and their expected hours."""

from collections.abc import Sequence

from tabulate import tabulate

from lm_eval_tasks.paper.estimate import ASSUMPTIONS, hours
from lm_eval_tasks.paper.plan import Files, Run, command_line


def plan_text(runs: Sequence[Run], files: Files) -> str:
    """The commands of the remaining runs, then all runs with expected hours, assumptions, and the total.

    The commands are long, so they come first; the summary stays visible at the end.
    """
    remaining = [run for run in runs if not files.is_complete(run)]
    rows = [
        [run.model.name, run.experiment.name, run.model.dtype, run.model.window, run.model.batch_size,
         f"{hours(run):.2f}", "complete" if files.is_complete(run) else "to do"]
        for run in runs
    ]  # fmt: skip
    headers = ["model", "experiment", "dtype", "window", "batch", "hours", "state"]
    total, longest = sum(map(hours, remaining)), max(map(hours, remaining), default=0.0)
    expected = (
        f"{len(remaining)} of {len(runs)} runs to do: about {total:.1f} hours on one H100, and at least "
        f"{longest:.1f} on several."
    )
    commands = [
        "Commands; each uses its own GPU, and its folder gets this name once it is complete:",
        *(command_line(run, "cuda:0", files) for run in remaining),
        "",
    ]
    lines = [
        *(commands if remaining else []),
        ASSUMPTIONS,
        "",
        tabulate(rows, headers, disable_numparse=True),
        "",
        expected,
    ]
    return "\n".join(lines)

"""``python -m lm_eval_tasks``: the tasks, their results, and the paper's experiments on pretrained models."""

from dataset_builders.command_help import DEFAULT_IN_TEXT
from dataset_builders.command_line import interrupt_quietly

if __name__ == "__main__":
    interrupt_quietly()  # the imports below take seconds

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from dataset_builders import InputError
from dataset_builders.benchmark import Benchmark
from dataset_builders.command_line import check_command, command_errors
from dataset_builders.files import check_folder
from dataset_builders.registry import IMPORT_OPTION, find, own_benchmarks, take_imports
from lm_eval_tasks import TASKS_FOLDER
from lm_eval_tasks.paper.command import paper
from lm_eval_tasks.publish.leaderboard_command import leaderboard
from lm_eval_tasks.publish.submit_command import submit
from lm_eval_tasks.results.report import report

Results = Annotated[tuple[Path, ...], tyro.conf.Positional, DEFAULT_IN_TEXT]


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command. For invalid input, print one sentence and exit with status 1."""
    with command_errors():
        words, imported = take_imports(sys.argv[1:] if argv is None else argv)
        if imported and words[:1] not in (["generate"], ["report"], ["agreement"]):
            raise InputError(
                f"{IMPORT_OPTION} works only with generate, report and agreement"
                + (f", not with {words[0]}" if words else "")
            )

        def generate(
            out: Annotated[Path | None, DEFAULT_IN_TEXT] = None,
            benchmarks: Annotated[tuple[str, ...], DEFAULT_IN_TEXT] = (),
            check: bool = False,
        ) -> None:
            """Write the YAML files of benchmarks for lm-eval.

            --import MODULE adds the benchmarks of a module.

            Args:
                out: Output folder, for lm_eval --include_path: new, or from an earlier call (default: this
                    package, for its own benchmarks).
                benchmarks: Names of benchmarks (default: the imported benchmarks, or this package's own if
                    none are imported).
                check: Write nothing, and fail if this package's files are not up to date.
            """
            _generate(out, benchmarks, check, imported)

        commands: dict[str, Callable[..., Any]] = {
            "list": _list,
            "path": _path,
            "generate": generate,
            "register": _register,
            "unregister": _unregister,
            "report": report,
            "paper": paper,
            "agreement": _agreement,
            "leaderboard": leaderboard,
            "submit": submit,
        }
        check_command(words, commands, repeatable=["--label"])
        tyro.extras.subcommand_cli_from_dict(
            commands,
            prog="python -m lm_eval_tasks",
            description="List, generate and register the lm-eval tasks; report and submit their results; "
            "repeat the paper's experiments on pretrained models.",
            args=words,
        )


def _list() -> None:
    """Print the tasks and groups."""
    from tabulate import tabulate

    from lm_eval_tasks.catalog import task_files

    groups = [entry for entry in task_files() if entry.members]
    print(tabulate([(g.name, " ".join(g.members)) for g in groups], ["group", "tasks"]))
    grouped = {member for group in groups for member in group.members}
    others = [e.name for e in task_files() if not e.members and e.name not in grouped]
    print(f"\nin no group: {' '.join(others)}")


def _path() -> None:
    """Print the folder for lm_eval --include_path."""
    print(TASKS_FOLDER)


def _generate(out: Path | None, names: Sequence[str], check: bool, imported: Sequence[Benchmark]) -> None:
    from lm_eval_tasks import generate

    if check:
        if out or names or imported:
            raise InputError("--check checks this package's own files; omit the other options")
        generate.check()
        print(f"up to date: {TASKS_FOLDER}")
        return
    chosen = [find(name) for name in names] or list(imported) or list(own_benchmarks().values())
    others = [benchmark.name for benchmark in chosen if benchmark.name not in own_benchmarks()]
    if out is None and others:
        raise InputError(f"{others[0]} is not in this package; pass a folder for its files with --out")
    if out is not None:
        check_folder(out)
    changed = generate.generate(chosen, TASKS_FOLDER if out is None else out)
    print(f"{len(changed)} files changed in {TASKS_FOLDER if out is None else out}")


def _register() -> None:
    """Let lm_eval find the tasks by name, without --include_path."""
    from lm_eval_tasks.register import register

    print(register())


def _unregister() -> None:
    """Undo register."""
    from lm_eval_tasks.register import unregister

    print(unregister())


def _agreement(results: Results) -> None:
    """Compare generated and forced answers, document by document.

    Args:
        results: results_*.json of lm_eval, or folders that contain them.
    """
    from lm_eval_tasks.results.agreement import agreement_table, agreements

    print(agreement_table(agreements(results)))


if __name__ == "__main__":
    main()

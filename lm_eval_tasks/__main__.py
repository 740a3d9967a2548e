"""``python -m lm_eval_tasks``: find, register, report and submit the tasks."""

import argparse
from pathlib import Path

from dataset_builders import InputError
from dataset_builders.command_line import command_errors
from lm_eval_tasks import TASKS_FOLDER
from lm_eval_tasks.publish import leaderboard_command, submit_command


def _register(_: argparse.Namespace) -> None:
    from lm_eval_tasks.register import register

    print(register())


def _unregister(_: argparse.Namespace) -> None:
    from lm_eval_tasks.register import unregister

    print(unregister())


def _path(_: argparse.Namespace) -> None:
    print(TASKS_FOLDER)


def _list(_: argparse.Namespace) -> None:
    from tabulate import tabulate

    from lm_eval_tasks.catalog import entries

    groups = [entry for entry in entries() if entry.members]
    print(tabulate([(g.name, " ".join(g.members)) for g in groups], ["group", "tasks"]))
    grouped = {member for group in groups for member in group.members}
    others = [e.name for e in entries() if not e.members and e.name not in grouped]
    print(f"\nin no group: {' '.join(others)}")


def _report(arguments: argparse.Namespace) -> None:
    from lm_eval_tasks.results.reader import read_scores
    from lm_eval_tasks.results.report import by_benchmark, draw, table

    benchmarks = by_benchmark(read_scores(arguments.results))
    try:
        arguments.out.mkdir(parents=True, exist_ok=True)
        for name, scores in benchmarks.items():
            print(f"## {name}\n\n{table(scores)}\n")
            files = draw(name, scores, arguments.out)
            print("drawn: " + ", ".join(map(str, files)) + "\n")
    except BrokenPipeError:
        raise
    except OSError as error:
        raise InputError(f"{arguments.out} cannot be written: {error.strerror}") from None


def _agreement(arguments: argparse.Namespace) -> None:
    from lm_eval_tasks.results.agreement import agreement_table, agreements

    print(agreement_table(agreements(arguments.results)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lm_eval_tasks", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, function, text in (
        ("list", _list, "print the tasks and groups"),
        ("path", _path, "print the folder for lm_eval --include_path"),
        ("register", _register, "let lm_eval find the tasks by their bare names"),
        ("unregister", _unregister, "undo register"),
        ("report", _report, "table and plot of lm_eval's result files"),
        ("agreement", _agreement, "compare generated and forced answers, a document each"),
        ("leaderboard", leaderboard_command.run, "one page of several models' results: table and curves"),
        ("submit", submit_command.run, "put results into a model's repository on the Hub, for leaderboards"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(function=function)
        if function in (_report, _agreement):
            command.add_argument(
                "results", nargs="+", type=Path, help="results_*.json, or a folder that holds them"
            )
        if function is _report:
            command.add_argument("--out", required=True, type=Path, help="folder for the plots")
        if function is leaderboard_command.run:
            leaderboard_command.add_arguments(command)
        if function is submit_command.run:
            submit_command.add_arguments(command)
    return parser


def main() -> None:
    """Run one command; a slip of the user ends with one sentence and status 1."""
    arguments = _parser().parse_args()
    with command_errors():
        arguments.function(arguments)


if __name__ == "__main__":
    main()

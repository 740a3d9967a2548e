"""``python -m dataset_builders``: build the data sets, verify them, and push them to the Hub."""

from dataset_builders.command_line import interrupt_quietly

if __name__ == "__main__":
    interrupt_quietly()  # the imports below take seconds

import sys
from collections.abc import Callable, Sequence
from dataclasses import field
from typing import Annotated, Any

import tyro

from dataset_builders import InputError
from dataset_builders.command_line import check_command, command_errors
from dataset_builders.registry import benchmarks, take_imports
from dataset_builders.release import build_command
from dataset_builders.release.push_command import push


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command. For invalid input, print one sentence and exit with status 1."""
    words = list(sys.argv[1:] if argv is None else argv)
    with command_errors("interrupted; run the same command again to continue"):
        words, _ = take_imports(words)
        if words[:1] == ["build"]:
            build_command.run(words[1:])
            return
        commands: dict[str, Callable[..., Any]] = {"build": _build, "verify": _verify_command(), "push": push}
        check_command(words, commands)
        command = tyro.extras.subcommand_cli_from_dict(
            commands,
            prog="python -m dataset_builders",
            description="Build the data sets, verify them, and push them to the Hub.",
            args=words,
        )
        if command is not None:
            command.run()


def _build() -> None:
    """Build configs into a folder; `build --help` lists the benchmarks."""


def _verify_command() -> type:
    dataset = Annotated[
        str,
        tyro.conf.arg(help="folder filled by build, or ORG/NAME on the Hub", metavar="DIR|ORG/NAME"),
        tyro.conf.Positional,
    ]  # fmt: skip
    revision = Annotated[str | None, tyro.conf.arg(help="branch, tag or commit on the Hub", metavar="REV")]
    return build_command.command_class(
        "Rebuild a data set and compare it with the original. Pass local source files again.",
        [
            ("dataset", dataset),
            ("revision", revision, field(default=None)),
            *build_command.source_options(
                benchmarks(), "the one the data set was built with, if it is on the Hub"
            ),
        ],
        lambda options: _verify(options.dataset, options.revision, vars(options)),
    )


def _verify(dataset: str, revision: str | None, sources: dict[str, Any]) -> None:
    from dataset_builders.release.verify import SAME, local_folder, verify

    wrong = []
    with local_folder(dataset, revision) as folder:
        for outcome in verify(folder, sources):
            print(
                f"{outcome.config:<31} {outcome.rows:>5} rows  {outcome.sha256[:12]:<12}  {outcome.state}",
                flush=True,
            )
            if outcome.state != SAME:
                wrong.append(outcome.config)
    if wrong:
        raise InputError(f"these configs differ or could not be compared: {', '.join(wrong)}")


if __name__ == "__main__":
    main()

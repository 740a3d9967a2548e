"""``python -m dataset_builders``: build the data sets, verify them, and push them to the Hub."""

import argparse
import sys
from collections.abc import Sequence

from dataset_builders import InputError
from dataset_builders.command_line import command_errors
from dataset_builders.release import build_command


def _verify(arguments: argparse.Namespace) -> None:
    from dataset_builders.documents import Material
    from dataset_builders.release.verify import SAME, local_folder, verify

    material = Material(arguments.source, arguments.squad_source, arguments.tokenizer)
    wrong = []
    with local_folder(arguments.dataset, arguments.revision) as folder:
        for outcome in verify(folder, material):
            print(
                f"{outcome.config:<31} {outcome.rows:>5} rows  {outcome.sha256[:12]:<12}  {outcome.state}",
                flush=True,
            )
            if outcome.state != SAME:
                wrong.append(outcome.config)
    if wrong:
        raise InputError(f"not the same: {', '.join(wrong)}")


def _parser(command: str) -> argparse.ArgumentParser:
    """The parser; options of ``push`` are there if that is the command."""
    parser = argparse.ArgumentParser(prog="python -m dataset_builders", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    text = "build configs into a folder"
    build_command.add_arguments(commands.add_parser("build", help=text, description=text))

    text = "make a built data set again and compare; sources that were local files must be given again"
    verify = commands.add_parser("verify", help=text, description=text)
    verify.add_argument("dataset", metavar="DIR|ORG/NAME", help="a built folder, or a data set on the Hub")
    verify.add_argument("--revision", help="branch, tag or commit on the Hub")
    build_command.add_material(
        verify, tokenizer="the one on the Hub that the data set names, where one is needed"
    )
    verify.set_defaults(function=_verify)

    text = "push a built data set to the Hub"
    push = commands.add_parser("push", help=text, description=text)
    if command == "push":
        from dataset_builders.release.push_command import add_arguments, run

        add_arguments(push)
        push.set_defaults(function=run)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command; a slip of the user ends with one sentence and status 1."""
    words = list(sys.argv[1:] if argv is None else argv)
    arguments = _parser(words[0] if words else "").parse_args(words)
    with command_errors("interrupted; the same command goes on where it stopped"):
        arguments.function(arguments)


if __name__ == "__main__":
    main()

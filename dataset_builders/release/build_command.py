"""``python -m dataset_builders build``: its options, a command for each task."""

import argparse
import difflib
from collections.abc import Callable, Sequence
from pathlib import Path

from dataset_builders import InputError, benchmark
from dataset_builders.benchmark import Config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add a command for each task, and ``all``, each with its options."""
    tasks = parser.add_subparsers(required=True, metavar="TASK")
    for name, add_options, configs_of, text in (
        ("phone_book", _phone_book_options, _phone_book, "phone books, a config a size"),
        ("c4_copy", _c4_copy_options, _c4_copy, "copies of running text, a config an order and length"),
        ("squad_v2_retrieval", _squad_options, _squad, "questions on paragraphs, a config a length"),
        ("strings", _string_options, _strings, "copies of strings and look-ups, a config a task and length"),
        ("all", _all_options, _all, "everything in the default release"),
    ):
        task = tasks.add_parser(name, help=text, description=text)
        add_options(task)
        task.add_argument("--out", type=Path, required=True, help="a new folder, or one to add configs to")
        task.set_defaults(function=_runner(configs_of))


def add_material(
    parser: argparse.ArgumentParser, *, texts: bool = True, squad: bool = True, tokenizer: str
) -> None:
    """Add the options for what documents are made from; ``tokenizer`` says what its absence means."""
    if texts:
        parser.add_argument(
            "--source", help="texts: a file, a folder or ORG/NAME on the Hub; left out, allenai/c4"
        )
    if squad:
        parser.add_argument(
            "--squad-source", help="a file in SQuAD v2's schema; left out, rajpurkar/squad_v2 on the Hub"
        )
    parser.add_argument(
        "--tokenizer",
        help=f"a tokenizer.json, a folder that holds one, or a name on the Hub; left out, {tokenizer}",
    )


_NEOX = "EleutherAI/gpt-neox-20b"
_NOT_COUNTED = "tokens of prompts are not counted"


def _runner(configs_of: Callable[[argparse.Namespace], list[Config]]) -> Callable[[argparse.Namespace], None]:
    def run(arguments: argparse.Namespace) -> None:
        configs = configs_of(arguments)
        from dataset_builders.documents import Material
        from dataset_builders.release.build import build, results_table

        given = vars(arguments)
        material = Material(given.get("source"), given.get("squad_source"), given["tokenizer"])
        print(results_table(build(configs, arguments.out, material)))

    return run


def _add_draws(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--num-docs", type=int, default=benchmark.NUM_DOCS, help=f"of each config ({benchmark.NUM_DOCS})"
    )
    parser.add_argument("--seed", type=int, default=benchmark.SEED, help=f"any integer ({benchmark.SEED})")


def _several(values: Sequence[object]) -> str:
    return " ".join(map(str, values))


def _phone_book_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--entries",
        type=int,
        nargs="+",
        default=benchmark.ENTRIES,
        help=f"entries of a book ({_several(benchmark.ENTRIES)})",
    )
    _add_draws(parser)
    add_material(parser, texts=False, squad=False, tokenizer=_NOT_COUNTED)


def _phone_book(arguments: argparse.Namespace) -> list[Config]:
    return benchmark.phone_book(arguments.entries, arguments.num_docs, arguments.seed)


def _c4_copy_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tokens",
        type=int,
        nargs="+",
        default=benchmark.TOKENS,
        help=f"tokens of a text ({_several(benchmark.TOKENS)})",
    )
    parser.add_argument(
        "--order",
        nargs="+",
        default=benchmark.ORDERS,
        help=f"order of its tokens ({_several(benchmark.ORDERS)})",
    )
    _add_draws(parser)
    add_material(parser, squad=False, tokenizer=_NEOX)


def _c4_copy(arguments: argparse.Namespace) -> list[Config]:
    return benchmark.c4_copy(arguments.tokens, arguments.order, arguments.num_docs, arguments.seed)


def _squad_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--paragraph-tokens",
        nargs="+",
        default=benchmark.PARAGRAPH_TOKENS,
        metavar="RANGE",
        help=f"tokens of a paragraph, the last one left out ({_several(benchmark.PARAGRAPH_TOKENS)})",
    )
    add_material(parser, texts=False, tokenizer=_NEOX)


def _squad(arguments: argparse.Namespace) -> list[Config]:
    return benchmark.squad_v2_retrieval(arguments.paragraph_tokens)


def _string_options(parser: argparse.ArgumentParser) -> None:
    tasks = tuple(benchmark.STRING_LENGTHS)
    parser.add_argument("--task", nargs="+", default=tasks, help=f"what is asked ({_several(tasks)})")
    parser.add_argument(
        "--lengths", type=int, nargs="+", help="letters of a string; left out, those of the release"
    )
    parser.add_argument(
        "--spelling", default=benchmark.SPELLING, help=f"symbols, plain or spaced ({benchmark.SPELLING})"
    )
    _add_draws(parser)
    add_material(parser, texts=False, squad=False, tokenizer=_NOT_COUNTED)


def _strings(arguments: argparse.Namespace) -> list[Config]:
    return benchmark.strings(
        arguments.task, arguments.lengths, arguments.num_docs, arguments.seed, arguments.spelling
    )


def _all_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--configs", nargs="+", metavar="CONFIG", help="of the release, these alone")
    add_material(parser, tokenizer=_NEOX)


def _all(arguments: argparse.Namespace) -> list[Config]:
    release = benchmark.default_release()
    for name in arguments.configs or ():
        if name not in release:
            near = ", ".join(difflib.get_close_matches(name, release)) or "phone_book_20 and others"
            raise InputError(f"the release has no config {name!r}, but {near}")
    return [release[name] for name in arguments.configs or release]

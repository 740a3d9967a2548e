"""``python -m dataset_builders build``: one command per benchmark, with the parameters of its builder."""

from collections.abc import Callable, Mapping
from dataclasses import field, make_dataclass
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import tyro
from docstring_parser import parse

from dataset_builders.benchmark import TOKENIZER, Benchmark, Config
from dataset_builders.checks import did_you_mean
from dataset_builders.command_line import check_command
from dataset_builders.errors import InputError
from dataset_builders.registry import IMPORT_OPTION, benchmarks, default_release

PROG = "python -m dataset_builders build"

_TOKENIZER_HELP = "tokenizer: a tokenizer.json, a folder that contains one, or a name on the Hub"
_NOT_COUNTED = "prompt lengths in tokens are not measured"

_OUT = ("out", Annotated[Path, tyro.conf.arg(help="output folder, new or from an earlier build")])


def run(words: list[str]) -> None:
    """Run the build command with these arguments.

    Raises:
        InputError: see ``dataset_builders.release.build.build``.
    """
    commands: dict[str, Callable[..., Any]] = {name: _command(b) for name, b in benchmarks().items()}
    commands["all"] = _all_command()
    check_command(words, commands, "benchmark")
    tyro.extras.subcommand_cli_from_dict(
        commands,
        prog=PROG,
        description=f"Build configs into a folder. {IMPORT_OPTION} MODULE adds the benchmarks of a module.",
        args=words,
    ).run()


def source_options(
    found: Mapping[str, Benchmark], tokenizer: str | None = None
) -> list[tuple[str, Any, Any]]:
    """Option fields for sources and tokenizers.

    Args:
        found: the benchmarks that the command builds or verifies.
        tokenizer: description of the tokenizer's default (default: the builders' default).
    """
    texts: dict[str, tuple[str, str]] = {}
    for benchmark in found.values():
        if benchmark.source is not None:
            name = benchmark.source.parameter
            texts[name] = (benchmark.source.help, str(benchmark.parameters[name].default))
        if tokenizer is None and TOKENIZER in benchmark.source_parameters:
            tokenizer = str(benchmark.parameters[TOKENIZER].default)
    texts[TOKENIZER] = (_TOKENIZER_HELP, tokenizer or _NOT_COUNTED)
    return [_optional(name, text, f"(default: {default})") for name, (text, default) in texts.items()]


def _optional(name: str, text: str, default: str) -> Any:
    shown = tyro.conf.arg(help=text, metavar="SOURCE", help_behavior_hint=default)
    return (name, Annotated[str | None, shown], field(default=None))


def command_class(text: str, options: list[Any], run: Callable[[Any], None]) -> type:
    """A dataclass for one command, which tyro fills from the command line.

    Args:
        text: description of the command.
        options: fields, in the format of ``dataclasses.make_dataclass``.
        run: function that executes the command; its argument has the values of the options as attributes.
    """
    made = make_dataclass("Options", options, kw_only=True, namespace={"run": run})
    made.__doc__ = text
    return made


def _command(benchmark: Benchmark) -> type:
    lengths, variants = benchmark.lengths, benchmark.variants
    own: list[Any] = [_OUT, _lengths_option(benchmark)]
    if variants is not None:
        text = f"variants to build: one or more of {', '.join(variants.values)}"
        metavar = f"{variants.parameter.upper()} [{variants.parameter.upper()} ...]"
        values = Annotated[tuple[str, ...], tyro.conf.arg(help=text, metavar=metavar)]
        own.append((variants.parameter, values, field(default=variants.values)))
    taken = {*lengths.parameters, *benchmark.source_parameters, *(o[0] for o in own)}
    plain = [name for name in benchmark.parameters if name not in taken]
    own += [_plain_option(benchmark, name) for name in plain]

    def run(options: Any) -> None:
        given = vars(options)
        chosen = {} if variants is None else {"variants": given[variants.parameter]}
        wanted = lengths.parse(list(given[lengths.option]))
        _build(benchmark.configs(wanted, **chosen, **{name: given[name] for name in plain}), given)

    return command_class(benchmark.title, [*own, *source_options({benchmark.name: benchmark})], run)


def _lengths_option(benchmark: Benchmark) -> Any:
    lengths = benchmark.lengths
    ranges = ", or ranges such as 20:120:20" if lengths.any_length else ""
    text = f"lengths in {lengths.unit}{ranges}"
    default = tuple(map(str, lengths.all))
    return (
        lengths.option,
        Annotated[tuple[str, ...], tyro.conf.arg(help=text, metavar="LENGTH [LENGTH ...]")],
        field(default=default),
    )


def _plain_option(benchmark: Benchmark, name: str) -> Any:
    parameter = benchmark.parameters[name]
    texts = {p.arg_name: p.description for p in parse(benchmark.builder.__doc__ or "").params}
    kind: Any = get_type_hints(benchmark.builder)[name]
    annotation = Annotated[kind, tyro.conf.arg(help=(texts.get(name) or "").rstrip("."))]
    if parameter.default is parameter.empty:
        return (name, annotation)
    return (name, annotation, field(default=parameter.default))


def _all_command() -> type:
    release = default_release()
    used = {config.benchmark.name: config.benchmark for config in release.values()}
    names = tyro.conf.arg(
        help="names of configs to build", metavar="CONFIG [CONFIG ...]", help_behavior_hint=""
    )

    def run(options: Any) -> None:
        for name in options.configs:
            if name not in release:
                raise InputError(f"the release has no config {name!r}{did_you_mean(name, release)}")
        _build([release[name] for name in options.configs or release], vars(options))

    return command_class(
        "All configs of the default release.",
        [_OUT, ("configs", Annotated[tuple[str, ...], names], field(default=())), *source_options(used)],
        run,
    )


def _build(configs: list[Config], given: Mapping[str, Any]) -> None:
    from dataset_builders.release.build import build, results_table

    print(results_table(build(configs, given["out"], given)))

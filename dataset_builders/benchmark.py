"""What a benchmark is: everything that is true of it stands in one :class:`Benchmark` object.

The command line, the release with its manifest, schema and card, and the tasks for lm-evaluation-harness are
derived from that object. ``dataset_builders.phone_book`` is an example; ``dataset_builders.registry``
finds the objects. Importing this is cheap.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dataset_builders.benchmark_parts import COLUMN_TYPES, Card, Column, Evaluation, Variants
from dataset_builders.checks import did_you_mean
from dataset_builders.errors import InputError
from dataset_builders.lengths import Lengths
from dataset_builders.sources.origin import TextSource

__all__ = ["TOKENIZER", "Benchmark", "Card", "Column", "Config", "Evaluation", "Row", "Variants"]

Row = dict[str, Any]
"""One document: column -> value."""

TOKENIZER = "tokenizer"
"""The builder's parameter that, if there is one, is a tokenizer's name: the documents depend on it."""

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A benchmark: documents of several lengths, and how a model is asked and scored.

    Attributes:
        name: first part of the names of its configs, and the name of its group in lm-eval.
        title: what it asks, in one line, for the command line.
        version: of the documents; it changes when the same arguments give other documents.
        builder: function that gives the documents, as dicts of all ``columns``. Its parameters are the
            benchmark's arguments. Defaults and the descriptions in its docstring are those of the command
            line. It checks arguments and sources at once, before the first document is asked for.
        columns: name -> column, in their order. ``id`` is unique, ``prompt`` is what a model reads.
        lengths: the lengths, and how they are named.
        license: licence of the documents, in the Hub's list; with a source, of those from its default.
        card: what the data set's card says.
        evaluation: how lm-eval asks and scores.
        variants: None where documents differ in length alone.
        source: what documents are cut from; None where arguments alone make them.
        family: folder of the YAML files; by default the name.
        aliases: further names of the group in lm-eval.
        suite: a group of several benchmarks that this one is in, if any; each of its series counts alike.

    Raises:
        InputError: something is missing, empty or does not fit the builder.
    """

    name: str
    title: str
    version: str
    builder: Callable[..., Iterable[Row]]
    columns: Mapping[str, Column]
    lengths: Lengths
    license: str
    card: Card
    evaluation: Evaluation
    variants: Variants | None = None
    source: TextSource | None = None
    family: str = ""
    aliases: tuple[str, ...] = ()
    suite: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "family", self.family or self.name)
        for problem in _problems(self):
            raise InputError(f"the benchmark {self.name!r} {problem}")

    @property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        """The builder's parameters by name."""
        return inspect.signature(self.builder).parameters

    @property
    def source_parameters(self) -> tuple[str, ...]:
        """The parameters that name a source or a tokenizer; they are no arguments of a config."""
        source = () if self.source is None else (self.source.parameter,)
        return (*source, *((TOKENIZER,) if TOKENIZER in self.parameters else ()))

    @property
    def argument_names(self) -> tuple[str, ...]:
        """The arguments that a config has."""
        return tuple(name for name in self.parameters if name not in self.source_parameters)

    @property
    def defaults(self) -> dict[str, Any]:
        """Arguments that the builder has defaults for."""
        return {
            name: parameter.default
            for name, parameter in self.parameters.items()
            if name in self.argument_names and parameter.default is not parameter.empty
        }

    @property
    def series(self) -> dict[str, dict[str, str]]:
        """The names under which tasks differ in length alone, and the arguments that each stands for."""
        if self.variants is None:
            return {self.name: {}}
        first, *others = self.variants.values
        parameter = self.variants.parameter
        return {self.name: {parameter: first}} | {f"{self.name}_{v}": {parameter: v} for v in others}

    def config(self, length: int | str, **arguments: Any) -> "Config":
        """The config of one length.

        Args:
            length: in the benchmark's unit, or as its lengths are written.
            arguments: of the builder; the others have their defaults.

        Raises:
            InputError: the length cannot be read, or an argument is missing or unknown.
        """
        variant = {} if self.variants is None else {self.variants.parameter: self.variants.values[0]}
        return Config(self, {**self.defaults, **variant, **self.lengths.arguments(length), **arguments})

    def configs(
        self,
        lengths: Iterable[int | str] | None = None,
        variants: Sequence[str] | None = None,
        **arguments: Any,
    ) -> "list[Config]":
        """A config for each variant and length; by default those of the release.

        Raises:
            InputError: as ``config``, or there is no such variant.
        """
        wanted = self.lengths.all if lengths is None else tuple(lengths)
        known = {} if self.variants is None else {self.variants.parameter: self.variants.values}
        chosen = [dict(of) for of in self.series.values()]
        for parameter, values in known.items():
            for value in variants or ():
                if value not in values:
                    raise InputError(f"{parameter} must be one of {', '.join(values)}, not {value!r}")
            chosen = [of for of in chosen if variants is None or of[parameter] in variants]
        return [self.config(length, **of, **arguments) for of in chosen for length in wanted]

    def config_name(self, arguments: Mapping[str, Any]) -> str:
        """The name of the config with these arguments, e.g. ``c4_copy_random_25``."""
        return f"{self.series_of(arguments)}_{self.lengths.label(arguments)}"

    def series_of(self, arguments: Mapping[str, Any]) -> str:
        """The name without the length, e.g. ``c4_copy_random``."""
        for name, of in self.series.items():
            if all(arguments.get(key) == value for key, value in of.items()):
                return name
        # a variant that does not exist; the builder refuses it in its own words
        variant = None if self.variants is None else arguments.get(self.variants.parameter)
        return f"{self.name}_{variant}"

    @property
    def groups(self) -> "dict[str, list[Config]]":
        """lm-eval's groups of tasks of the released lengths, by name."""
        found = {}
        for series, of in self.series.items():
            found[series] = [self.config(length, **of) for length in self.lengths.standard]
            if self.lengths.long:
                found[f"{series}_long"] = [self.config(length, **of) for length in self.lengths.long]
        return found


@dataclass(frozen=True)
class Config:
    """One config of a data set: what to build, but neither from which texts nor with which tokenizer.

    Attributes:
        benchmark: what it is a config of.
        arguments: keyword arguments of the benchmark's builder, as JSON has them.

    Raises:
        InputError: an argument is missing or unknown.
    """

    benchmark: Benchmark
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = self.benchmark.argument_names
        for name in self.arguments:
            if name not in known:
                raise InputError(
                    f"{self.benchmark.name} has no argument {name!r}{did_you_mean(str(name), known)} "
                    f"(known: {', '.join(known)})"
                )
        missing = [name for name in known if name not in self.arguments]
        if missing:
            raise InputError(f"a config of {self.benchmark.name} needs the arguments {', '.join(missing)}")

    @property
    def name(self) -> str:
        """The config's name, e.g. ``c4_copy_random_25``."""
        return self.benchmark.config_name(self.arguments)


def _problems(b: Benchmark) -> Iterator[str]:
    """What is wrong with a benchmark, as the rest of a sentence that begins with its name."""
    texts = {
        "title": b.title,
        "version": b.version,
        "license": b.license,
        "card.heading": b.card.heading,
        "card.text": b.card.text,
        "card.made": b.card.made,
        "card.license": b.card.license,
    }
    yield from (f"has no {name}" for name, text in texts.items() if not str(text).strip())
    for name in (b.name, b.family, *b.aliases, *([b.suite] if b.suite else [])):
        if not _NAME.fullmatch(name):
            yield f"has the name {name!r}; take lower-case letters and digits, with single _ between"
    for name, column in b.columns.items():
        if column.type not in COLUMN_TYPES or not column.text:
            yield f"must say of its column {name!r} what it holds, and its type: {', '.join(COLUMN_TYPES)}"
    target = b.evaluation.target
    yield from (f"has no column {name!r}" for name in ("id", "prompt", target) if name not in b.columns)
    needed = [*b.lengths.parameters]
    needed += [] if b.variants is None else [b.variants.parameter]
    needed += [] if b.source is None else [b.source.parameter]
    for name in needed:
        if name not in b.parameters:
            yield f"needs the parameter {name!r}, which its builder has not"
    if b.variants is not None and len(b.variants.values) < 2:
        yield "has fewer than two variants"
    for name in b.source_parameters:
        if name in b.parameters and b.parameters[name].default is inspect.Parameter.empty:
            yield f"needs a default for its builder's parameter {name!r}"
    yield from _evaluation_problems(b)


def _evaluation_problems(b: Benchmark) -> Iterator[str]:
    e = b.evaluation
    if not e.stop or not all(e.stop) or not e.metrics or not all(e.metrics):
        yield "needs at least one stop string and one metric"
    if not _DOTTED.fullmatch(e.score):
        yield f"must name its scoring function as package.module.function, not {e.score!r}"
    forced = e.forced_target
    if forced is not None and forced not in b.columns and not _DOTTED.fullmatch(forced):
        yield f"must name a column or a function as forced_target, not {forced!r}"
    if e.new_tokens not in ("half_prompt", "answer") and (type(e.new_tokens) is not int or e.new_tokens < 1):
        yield f"has new_tokens {e.new_tokens!r}; give a number of tokens, 'half_prompt' or 'answer'"

"""A benchmark is defined by one :class:`Benchmark` object.

The command line, the release with its manifest, schema and card, and the tasks for lm-evaluation-harness are
derived from it. ``dataset_builders.phone_book`` is an example; ``dataset_builders.registry`` finds the
objects. Importing this module is cheap.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from dataset_builders.benchmark_parts import (
    COLUMN_TYPES,
    Card,
    Column,
    Evaluation,
    RandomAnswers,
    Variants,
)
from dataset_builders.checks import did_you_mean
from dataset_builders.errors import InputError
from dataset_builders.lengths import Lengths
from dataset_builders.sources.origin import TextSource

__all__ = [
    "TOKENIZER",
    "Benchmark",
    "Card",
    "Column",
    "Config",
    "Evaluation",
    "RandomAnswers",
    "Row",
    "Variants",
]

Row = dict[str, Any]
"""One document: values by column."""

TOKENIZER = "tokenizer"
"""Parameter of builders whose documents depend on a tokenizer."""

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A benchmark: documents of several lengths, and how models are evaluated on them.

    Attributes:
        name: first part of the names of its configs, and the name of its group in lm-eval.
        title: one-line description for the command line.
        version: version of the documents; it changes whenever the same arguments give different documents.
        builder: function that yields the documents, as dicts of all ``columns``. Its parameters are the
            benchmark's arguments; their defaults and docstrings are also used by the command line. It
            checks arguments and sources when called, before the first document is requested.
        columns: columns by name, in order. ``id`` is unique; ``prompt`` is the text that a model reads.
        lengths: the evaluated lengths and their names.
        license: licence identifier, as on the Hub, of the documents; if there is a source, of the default
            source.
        card: text of the data set's card.
        evaluation: how lm-eval prompts and scores.
        variants: variants of the documents; None if documents differ only in length.
        random_answers: function that takes a config's arguments and returns the random content of its
            documents. It is None, or returns None, if answers are not uniform and independent.
        source: where the text of the documents comes from; None if they depend only on the arguments.
        family: folder of the YAML files (default: the name).
        aliases: further names of the group in lm-eval.
        suite: name of a larger group in lm-eval to which this benchmark belongs, if any.

    Raises:
        InputError: a value is missing or empty, or does not match the builder.
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
    random_answers: Callable[[Mapping[str, Any]], RandomAnswers | None] | None = None
    source: TextSource | None = None
    family: str = ""
    aliases: tuple[str, ...] = ()
    suite: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "family", self.family or self.name)
        for problem in _problems(self):
            raise InputError(f"the benchmark {self.name!r} {problem}")

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the cached parameters, which cannot be pickled."""
        return {name: value for name, value in vars(self).items() if name != "parameters"}

    @cached_property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        """The builder's parameters by name."""
        return inspect.signature(self.builder).parameters

    @property
    def source_parameters(self) -> tuple[str, ...]:
        """The parameters that name a source or a tokenizer; they are not part of a config's arguments."""
        source = () if self.source is None else (self.source.parameter,)
        return (*source, *((TOKENIZER,) if TOKENIZER in self.parameters else ()))

    @property
    def argument_names(self) -> tuple[str, ...]:
        """The names of a config's arguments."""
        return tuple(name for name in self.parameters if name not in self.source_parameters)

    @property
    def defaults(self) -> dict[str, Any]:
        """The arguments for which the builder has defaults."""
        return {
            name: parameter.default
            for name, parameter in self.parameters.items()
            if name in self.argument_names and parameter.default is not parameter.empty
        }

    @property
    def series(self) -> dict[str, dict[str, str]]:
        """The arguments that select each series of tasks that differ only in length, by the series' name."""
        if self.variants is None:
            return {self.name: {}}
        first, *others = self.variants.values
        parameter = self.variants.parameter
        return {self.name: {parameter: first}} | {f"{self.name}_{v}": {parameter: v} for v in others}

    def config(self, length: int | str, **arguments: Any) -> "Config":
        """The config of one length.

        Args:
            length: a number in the benchmark's unit, or a length as users write it, e.g. ``50_100``.
            arguments: other arguments of the builder; missing ones take their defaults.

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
        """One config per variant and length; by default, the variants and lengths of the release.

        Raises:
            InputError: as ``config``, or the variant does not exist.
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
        # the variant does not exist; the builder raises the error
        variant = None if self.variants is None else arguments.get(self.variants.parameter)
        return f"{self.name}_{variant}"

    @property
    def groups(self) -> "dict[str, list[Config]]":
        """lm-eval's groups of tasks with the released lengths, by name."""
        found = {}
        for series, of in self.series.items():
            found[series] = [self.config(length, **of) for length in self.lengths.standard]
            if self.lengths.long:
                found[f"{series}_long"] = [self.config(length, **of) for length in self.lengths.long]
        return found


@dataclass(frozen=True)
class Config:
    """One config of a data set: a benchmark and its arguments, apart from source and tokenizer.

    Attributes:
        benchmark: the benchmark.
        arguments: keyword arguments of the benchmark's builder, as JSON values.

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
                    f"{self.benchmark.name} has no argument {name!r}; it has {', '.join(known)}"
                    f"{did_you_mean(str(name), known)}"
                )
        missing = [name for name in known if name not in self.arguments]
        if missing:
            raise InputError(f"a config of {self.benchmark.name} needs the arguments {', '.join(missing)}")

    @property
    def name(self) -> str:
        """The config's name, e.g. ``c4_copy_random_25``."""
        return self.benchmark.config_name(self.arguments)


def _problems(b: Benchmark) -> Iterator[str]:
    """Problems of a benchmark's definition, each as the end of a sentence that begins with its name."""
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
            yield f"has the name {name!r}; use lower-case letters and digits, separated by single underscores"
    for name, column in b.columns.items():
        if column.type not in COLUMN_TYPES or not column.text:
            yield f"needs a type ({', '.join(COLUMN_TYPES)}) and a text for its column {name!r}"
    target = b.evaluation.target
    yield from (f"has no column {name!r}" for name in ("id", "prompt", target) if name not in b.columns)
    needed = [*b.lengths.parameters]
    needed += [] if b.variants is None else [b.variants.parameter]
    needed += [] if b.source is None else [b.source.parameter]
    for name in needed:
        if name not in b.parameters:
            yield f"needs the parameter {name!r}, which its builder does not have"
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
        yield f"must name a column or package.module.function as forced_target, not {forced!r}"
    for field_name in ("position", "positions"):
        column = getattr(e, field_name)
        if column is not None and column not in b.columns:
            yield f"must name a column as {field_name}, not {column!r}"
    if e.errors is not None and not _DOTTED.fullmatch(e.errors):
        yield f"must name its error classes as package.module.NAME, not {e.errors!r}"
    for field_name in ("questions", "without_answer"):
        function = getattr(e, field_name)
        if function is not None and not _DOTTED.fullmatch(function):
            yield f"must name its {field_name} as package.module.function, not {function!r}"
    if e.new_tokens not in ("half_prompt", "answer") and (type(e.new_tokens) is not int or e.new_tokens < 1):
        yield f"has new_tokens {e.new_tokens!r}; use a number of tokens, 'half_prompt' or 'answer'"

"""The documents of a config, built from a source and a tokenizer, with their provenance."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dataset_builders.benchmark import TOKENIZER, Config, Row
from dataset_builders.sources.origin import Origin, tokenizer_origin


@dataclass(frozen=True)
class Documents:
    """Documents of one config.

    Attributes:
        rows: iterator that builds the documents one by one.
        version: version of the benchmark's documents.
        source: provenance of their text; None if the documents depend only on the arguments.
        tokenizer: tokenizer on which the documents depend, or otherwise the tokenizer that counts the
            prompts' tokens; None if there is none.
        tokenizer_name: the tokenizer's name, as passed to ``load_tokenizer``; None if there is none.
    """

    rows: Iterable[Row]
    version: str
    source: Origin | None
    tokenizer: Origin | None
    tokenizer_name: str | None


def documents(config: Config, sources: Mapping[str, str | None]) -> Documents:
    """The documents of a config; arguments and sources are checked here, before the first row is built.

    Args:
        config: the config to build.
        sources: files, folders or names on the Hub to build from, by the builder's parameter, e.g.
            ``{"source": "texts.jsonl", "tokenizer": "tokenizer.json"}``. If a source is missing or None, the
            benchmark's default is used; parameters of other benchmarks are ignored. If the documents do not
            depend on a tokenizer, ``tokenizer`` only counts the tokens of prompts.

    Raises:
        InputError: an argument is out of range, a source or tokenizer cannot be read, or the source has no
            such documents.
    """
    benchmark = config.benchmark
    used = {
        name: sources.get(name) or benchmark.parameters[name].default for name in benchmark.source_parameters
    }
    rows = benchmark.builder(**config.arguments, **used)
    tokenizer = used.get(TOKENIZER) or sources.get(TOKENIZER)
    source = benchmark.source
    return Documents(
        rows=rows,
        version=benchmark.version,
        source=None if source is None else source.origin(used[source.parameter], tokenizer or ""),
        tokenizer=None if tokenizer is None else tokenizer_origin(tokenizer),
        tokenizer_name=tokenizer,
    )

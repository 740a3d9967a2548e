"""From a config, a source and a tokenizer to its documents, and to where they come from."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dataset_builders.benchmark import TOKENIZER, Config, Row
from dataset_builders.sources.origin import Origin, tokenizer_origin


@dataclass(frozen=True)
class Documents:
    """Documents of one config.

    Attributes:
        rows: made as they are asked for, once.
        version: version of the benchmark's documents.
        source: what they are cut from; None where the arguments alone make them.
        tokenizer: the one they depend on, or else the one that their prompts shall be counted with.
        tokenizer_name: as ``load_tokenizer`` takes it; None where there is none.
    """

    rows: Iterable[Row]
    version: str
    source: Origin | None
    tokenizer: Origin | None
    tokenizer_name: str | None


def documents(config: Config, sources: Mapping[str, str | None]) -> Documents:
    """The documents of a config; arguments and sources are checked here, before a row is made.

    Args:
        config: what to build.
        sources: what documents are made from, by the builder's parameter: a file, folder or name on the
            Hub, e.g. ``{"source": "texts.jsonl", "tokenizer": "tokenizer.json"}``. What is left out, or
            None, is the benchmark's own; parameters of other benchmarks are left aside. A ``tokenizer``
            on which the documents do not depend counts the tokens of prompts.

    Raises:
        InputError: an argument is out of range, or a source or tokenizer cannot be read or has no such
            documents.
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

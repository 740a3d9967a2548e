"""The parts of a data set's card for each benchmark: sources, licences, sizes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dataset_builders.benchmark import Benchmark, Card, Column
from dataset_builders.release.manifest import Entry, LengthSummary, Manifest
from dataset_builders.sources.origin import Origin

_OTHER = "other"


@dataclass(frozen=True)
class Section:
    """The benchmarks of a release that share a section of the card.

    Attributes:
        benchmark: the first of these benchmarks.
        origins: the distinct sources of the documents; empty if documents depend only on arguments.
    """

    benchmark: Benchmark
    origins: tuple[Origin, ...]

    @property
    def card(self) -> Card:
        return self.benchmark.card

    @property
    def columns(self) -> Mapping[str, Column]:
        return self.benchmark.columns

    @property
    def sources(self) -> str:
        """The sources as a phrase."""
        return " and ".join(_described(origin) for origin in self.origins)

    @property
    def from_default(self) -> bool:
        """Whether the licence of some documents is known: they need no source, or use the default source."""
        return not self.origins or any(self._is_default(origin) for origin in self.origins)

    @property
    def from_others(self) -> bool:
        """Whether some documents are from a source whose licence is unknown."""
        return _OTHER in self.licenses

    @property
    def licenses(self) -> list[str]:
        """Licence identifiers, as in the Hub's list."""
        if not self.origins:
            return [self.benchmark.license]
        return [self.benchmark.license if self._is_default(o) else _OTHER for o in self.origins]

    def _is_default(self, origin: Origin) -> bool:
        source = self.benchmark.source
        return (
            source is not None
            and origin.on_hub
            and origin.name == self.benchmark.parameters[source.parameter].default
        )


def sections(manifest: Manifest) -> list[Section]:
    """The sections of a release's card, in the order of its configs."""
    by_card: dict[Card, list[Entry]] = {}
    for entry in manifest.configs.values():
        by_card.setdefault(entry.benchmark.card, []).append(entry)
    return [
        Section(
            entries[0].benchmark,
            tuple(dict.fromkeys(entry.source for entry in entries if entry.source is not None)),
        )
        for entries in by_card.values()
    ]


def licenses(found: Iterable[Section]) -> list[str]:
    """The distinct licences of a release."""
    return list(dict.fromkeys(name for section in found for name in section.licenses))


def source_datasets(found: Iterable[Section]) -> list[str]:
    """The card's ``source_datasets``; local files are left out."""
    named = [
        name
        for section in found
        for name in ([o.name for o in section.origins if o.on_hub] if section.origins else ["original"])
    ]
    return list(dict.fromkeys(named))


def _described(origin: Origin) -> str:
    name = (
        f"[{origin.name}](https://huggingface.co/datasets/{origin.name})"
        if origin.on_hub
        else f"`{origin.name}`"
    )
    revision = f" at revision `{origin.revision}`" if origin.revision else ""
    return f"{name}{revision} (SHA-256 of the part that was read: `{origin.sha256[:12]}`)"


def tokenizers(entries: Iterable[Entry]) -> str:
    """The tokenizers that measured prompt lengths, as a phrase; empty if there were none."""
    used = dict.fromkeys(entry.tokenizer for entry in entries if entry.tokenizer is not None)
    return " and ".join(f"`{origin.name}` (SHA-256 `{origin.sha256[:12]}`)" for origin in used)


def sizes_table(configs: Mapping[str, Entry]) -> str:
    """A Markdown table with one row per config: number of rows and prompt lengths."""
    lines = [
        "| config | rows | characters: min, median, max | tokens: min, median, max |",
        "| --- | --- | --- | --- |",
    ]
    for name, entry in configs.items():
        cells = [f"`{name}`", f"{entry.rows}", _cell(entry.prompt_characters), _cell(entry.prompt_tokens)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(lengths: LengthSummary | None) -> str:
    return "not counted" if lengths is None else f"{lengths.min}, {lengths.median}, {lengths.max}"

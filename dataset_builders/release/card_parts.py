"""What a data set's card says of each benchmark in it: sources, licences, sizes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dataset_builders.release.manifest import Entry, Lengths, Manifest, Origin

_HEADINGS = {
    "phone_book": "phone_book: the number of a name in a book",
    "c4_copy": "c4_copy: running text again, in order or shuffled",
    "squad_v2_retrieval": "squad_v2_retrieval: a question on a paragraph, by its length",
    "strings": "strings: random letters again, and what followed an n-gram",
}

_OWN = "apache-2.0"
_OF_SOURCES = {"allenai/c4": "odc-by", "rajpurkar/squad_v2": "cc-by-sa-4.0"}
_OTHER = "other"


@dataclass(frozen=True)
class Part:
    """One benchmark of a release.

    Attributes:
        family: the task, as the manifest names it.
        origins: what its documents were cut from, each once; empty where arguments alone make them.
    """

    family: str
    origins: tuple[Origin, ...]

    @property
    def heading(self) -> str:
        return _HEADINGS[self.family]

    @property
    def sources(self) -> str:
        """The sources as a phrase."""
        return " and ".join(_described(origin) for origin in self.origins)

    @property
    def from_hub(self) -> bool:
        """Whether a source with a licence known here is among them."""
        return any(origin.on_hub and origin.name in _OF_SOURCES for origin in self.origins)

    @property
    def from_others(self) -> bool:
        """Whether a source is among them whose licence is not known here."""
        return _OTHER in self.licenses

    @property
    def licenses(self) -> list[str]:
        """Identifiers of the Hub's list of licences."""
        if not self.origins:
            return [_OWN]
        return [_OF_SOURCES.get(o.name, _OTHER) if o.on_hub else _OTHER for o in self.origins]


def parts(manifest: Manifest) -> list[Part]:
    """The benchmarks that a release holds, in the order of the project's docs."""
    found = []
    for task in _HEADINGS:
        entries = [entry for entry in manifest.configs.values() if entry.task == task]
        if entries:
            found.append(Part(task, tuple(dict.fromkeys(e.source for e in entries if e.source is not None))))
    return found


def licenses(found: Iterable[Part]) -> list[str]:
    """Every licence of a release, once."""
    return list(dict.fromkeys(name for part in found for name in part.licenses))


def source_datasets(found: Iterable[Part]) -> list[str]:
    """The card's ``source_datasets``; files have no name that others could look up."""
    named = [
        name
        for part in found
        for name in ([o.name for o in part.origins if o.on_hub] if part.origins else ["original"])
    ]
    return list(dict.fromkeys(named))


def _described(origin: Origin) -> str:
    name = (
        f"[{origin.name}](https://huggingface.co/datasets/{origin.name})"
        if origin.on_hub
        else f"`{origin.name}`"
    )
    revision = f" at revision `{origin.revision}`" if origin.revision else ""
    return f"{name}{revision} (what was read of it has the SHA-256 `{origin.sha256[:12]}`)"


def tokenizers(entries: Iterable[Entry]) -> str:
    """The tokenizers that lengths were counted with, as a phrase; empty for none."""
    used = dict.fromkeys(entry.tokenizer for entry in entries if entry.tokenizer is not None)
    return " and ".join(f"`{origin.name}` (SHA-256 `{origin.sha256[:12]}`)" for origin in used if origin)


def sizes_table(configs: Mapping[str, Entry]) -> str:
    """A Markdown table, a config a row: its rows, and the lengths of its prompts."""
    lines = [
        "| config | rows | characters: least, median, most | tokens: least, median, most |",
        "| --- | --- | --- | --- |",
    ]
    for name, entry in configs.items():
        cells = [f"`{name}`", f"{entry.rows}", _cell(entry.prompt_characters), _cell(entry.prompt_tokens)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(lengths: Lengths | None) -> str:
    return "not counted" if lengths is None else f"{lengths.min}, {lengths.median}, {lengths.max}"

"""The data set's card: metadata for the Hub and ``datasets``, and the text."""

import re
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from huggingface_hub import DatasetCard, DatasetCardData

from dataset_builders.errors import InputError
from dataset_builders.registry import own_benchmarks
from dataset_builders.release.card_parts import licenses, sections, sizes_table, source_datasets, tokenizers
from dataset_builders.release.manifest import Entry, Manifest, parquet_path
from dataset_builders.yaml_text import YAML_ERRORS

BEGIN = "<!-- repeat-after-me: the next release replaces everything up to the end mark -->"
END = "<!-- repeat-after-me: end -->"

_TAGS = ("benchmark", "copying", "recall", "lm-evaluation-harness", "state-space-models")
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def card(manifest: Manifest, infos: Mapping[str, Any], name: str) -> DatasetCard:
    """The card of a release.

    Args:
        manifest: manifest of the release, with at least one config.
        infos: ``datasets.DatasetInfo`` of each config, with features, splits and sizes.
        name: ``ORG/NAME`` on the Hub.
    """
    configs, found = manifest.configs, sections(manifest)
    released = [config for config, entry in configs.items() if _is_released(config, entry)]
    data = DatasetCardData(
        language=sorted({s.card.language for s in found if s.card.language}) or None,
        license=_one_or_all(licenses(found)),
        size_categories=[_size_category(sum(entry.rows for entry in configs.values()))],
        source_datasets=source_datasets(found) or None,
        task_categories=list(dict.fromkeys(c for s in found for c in s.card.task_categories)),
        pretty_name=pretty_name(manifest),
        tags=list(_TAGS),
    )
    _add_configs(data, list(configs), infos)
    template = (files("dataset_builders.release") / "card_template.md").read_text(encoding="utf-8")
    return DatasetCard.from_template(
        data,
        template_str=template,
        begin=BEGIN,
        end=END,
        version=manifest.version,
        repo_id=name,
        of_the_paper=is_of_the_paper(manifest),
        default_config=next(iter(configs)),
        tasks=_tasks(manifest, set(released)) or released[:1],
        foreign=[config for config in configs if config not in released],
        sections=found,
        citations=list(dict.fromkeys(s.card.citation for s in found if s.card.citation)),
        tokenizers=tokenizers(configs.values()),
        sizes=sizes_table(configs),
    )


def is_of_the_paper(manifest: Manifest) -> bool:
    """Whether a release contains benchmarks of this project."""
    return any(entry.benchmark.name in own_benchmarks() for entry in manifest.configs.values())


def pretty_name(manifest: Manifest) -> str:
    """The name of a release for people."""
    if is_of_the_paper(manifest):
        return "Repeat After Me: copying and look-up benchmarks"
    return "; ".join(section.card.heading for section in sections(manifest))


def merged(new: DatasetCard, existing: str | None, replaced: Iterable[str]) -> str:
    """The card to upload: the new card, with everything that people added to the existing card.

    In the metadata, keys that the new card does not set, additional tags, and configs of others are kept. In
    the text, everything outside the two marks is kept; a text without marks is appended to the new text.

    Args:
        new: a card made by ``card``.
        existing: content of the repository's README.md; None if there is none.
        replaced: configs of the previous release, which the new release replaces or drops.

    Raises:
        InputError: the existing card's metadata cannot be read, or its marks are damaged.
    """
    if existing is None:
        return _written(new)
    old = _parsed(re.sub("\r\n?", "\n", existing.removeprefix("\ufeff")))
    ours = {config["config_name"] for config in new.data["configs"]} | set(replaced)
    result = DatasetCard(_written(new))
    kept = old.data.to_dict()
    order = [*result.data.to_dict(), *kept]
    for key in ("configs", "dataset_info"):
        others = [c for c in _listed(kept.pop(key, None)) if c.get("config_name", "default") not in ours]
        if others:
            result.data[key] = [*_listed(result.data[key]), *others]
            if any(config.get("default") for config in others):
                for config in _listed(result.data[key])[: -len(others)]:
                    config.pop("default", None)
    result.data["tags"] = list(dict.fromkeys([*result.data["tags"], *_listed(kept.pop("tags", None))]))
    for key, value in kept.items():
        if result.data.get(key) is None:
            result.data[key] = value
    # otherwise older versions of huggingface_hub, such as 1.20, write added keys in random order
    metadata = result.data.to_yaml(original_order=list(dict.fromkeys(order)))
    return f"---\n{metadata}\n---\n{_merged_text(result.text, old.text)}".rstrip() + "\n"


def _written(made: DatasetCard) -> str:
    return f"{made.content.rstrip()}\n"


def _parsed(existing: str) -> DatasetCard:
    if not existing.startswith("---\n"):
        existing = f"---\n{{}}\n---\n{existing}"
    try:
        old = DatasetCard(existing)
    except (TypeError, *YAML_ERRORS) as error:  # TypeError: an unexpected field of the card
        raise _unreadable(" ".join(str(error).split())) from None
    for key in ("configs", "dataset_info"):
        if not all(isinstance(config, dict) for config in _listed(old.data.get(key))):
            raise _unreadable(f"{key} is not a list of mappings")
    return old


def _unreadable(reason: str) -> InputError:
    return InputError(
        f"the metadata of the repository's README.md cannot be read ({reason}); fix it on the Hub"
    )


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _merged_text(ours: str, theirs: str) -> str:
    if BEGIN not in theirs and END not in theirs:
        return f"{ours.rstrip()}\n\n{theirs.strip()}".rstrip() + "\n"
    found = re.findall(f"{re.escape(BEGIN)}.*?{re.escape(END)}", theirs, re.DOTALL)
    if len(found) != 1 or theirs.count(BEGIN) != 1 or theirs.count(END) != 1:
        raise InputError(
            f"the repository's README.md must contain the marks {BEGIN!r} and {END!r} once each, in this "
            "order; restore or remove them on the Hub"
        )
    return theirs.replace(found[0], ours.strip())


def _add_configs(data: DatasetCardData, order: list[str], infos: Mapping[str, Any]) -> None:
    """``configs`` and ``dataset_info``, as ``datasets`` itself writes them, but in the release's order."""
    from datasets.info import DatasetInfosDict
    from datasets.utils.metadata import MetadataConfigs

    MetadataConfigs(
        {
            name: {"data_files": [{"split": "test", "path": parquet_path(Path(), name).as_posix()}]}
            | ({"default": True} if name == order[0] else {})
            for name in order
        }
    ).to_dataset_card_data(data)
    DatasetInfosDict(infos).to_dataset_card_data(data)
    for key in ("configs", "dataset_info"):
        if isinstance(data[key], list):
            data[key].sort(key=lambda config: order.index(config["config_name"]))


def _one_or_all(values: list[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else values


def _size_category(rows: int) -> str:
    return next((name for limit, name in _SIZES if rows < limit), "1M<n<10M")


def _is_released(name: str, entry: Entry) -> bool:
    """Whether a config has the arguments and sources of the default release."""
    own = {config.name: dict(config.arguments) for config in entry.benchmark.configs()}
    from_files = entry.source is not None and not entry.source.on_hub
    return own.get(name) == dict(entry.arguments) and not from_files


def _tasks(manifest: Manifest, configs: set[str]) -> list[str]:
    """The lm-eval groups all of whose tasks are among these configs."""
    used = {entry.benchmark.name: entry.benchmark for entry in manifest.configs.values()}
    return [
        group
        for benchmark in used.values()
        for group, members in benchmark.groups.items()
        if configs.issuperset(config.name for config in members)
    ]

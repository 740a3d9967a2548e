"""The shortest names that distinguish the rows of a report.

A row is named after the last part of its model's name or path, with more parts if this is not unique, and
with the settings that differ if two rows have the same model. Labels depend only on the rows, not on the
folder in which the command runs.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from dataset_builders import InputError
from dataset_builders.checks import printable, shortened
from lm_eval_tasks.results.identity import Identity

PUBLIC_ARGUMENTS = (
    "dtype", "softmax_dtype", "mixed_precision_dtype", "quantization", "load_in_8bit", "load_in_4bit",
    "kv_cache_dtype", "gguf_file", "subfolder", "attn_implementation", "trust_remote_code", "add_bos_token",
    "prefix_token_id", "max_length", "max_model_len", "truncation", "enable_thinking",
)  # fmt: skip
"""Model arguments whose values are shown. Other arguments may be addresses or keys: only names are shown."""

_SHOWN = frozenset((
    "peft", "delta", "pretrained", "tokenizer", "backend", "parameters", "gen_kwargs", "documents", "seed",
    "spelling", "source", "position", "entries", "announced", "questions", "version",
    "--samples", "samples", "until", "max_gen_toks", "started", "do_sample", "random_seed",
    "numpy_seed", "torch_seed", "fewshot_seed",
))  # fmt: skip
"""Other settings whose values are shown."""

_FIRST = (
    "revision", "subfolder", "peft", "delta", "backend", "dtype", "chat template", "system instruction",
    "shots",
)  # fmt: skip
"""Settings that are preferred for labels, in this order; others follow by name. The dtype of a server's model
is not known, so the backend comes before it."""

_LAST = ("random_seed", "numpy_seed", "torch_seed", "fewshot_seed")
"""Settings that are used only if no others distinguish two rows: they are known only for runs whose
generation settings were changed, and would be shown instead of these settings."""

_STEP = re.compile(
    r"(?<![a-z0-9])(?:global[-_]?)?(?:step|checkpoint|ckpt|iteration|iter)s?[-_]?(\d{1,15})(?![a-z0-9])"
    r"(?:[-_]tokens?[-_]?\d+[kmbt]?)?",
    re.IGNORECASE,
)
_LONGEST = 120


def training_step(text: str) -> int | None:
    """The training step in a checkpoint's name, as in ``step1000`` or ``run/checkpoint-500``.

    If there are several, as in ``model-iter1/checkpoint-500``, it is the last one.
    """
    found = _STEP.findall(text)
    return int(found[-1]) if found else None


def without_step(text: str, step: int) -> str:
    """The text with this training step, and the characters that join it to the rest, replaced by a star.

    Other steps are kept, because they distinguish training runs.
    """
    return _STEP.sub(lambda found: "*" if int(found[1]) == step else found[0], text)


def labels(identities: Sequence[Identity], names: Sequence[str] = ()) -> dict[Identity, str]:
    """A label for each identity.

    Args:
        identities: the identities of the rows.
        names: ``NAME=PATTERN``: the row whose automatic label, or whose model as the user named it, matches
            PATTERN (with ``*`` and ``?``) gets the label NAME instead.

    Raises:
        InputError: a name is malformed, or matches no row or several.
    """
    distinct = list(dict.fromkeys(identities))
    sources = _suffixes([identity.source for identity in distinct])
    found = {}
    for source, short in sources.items():
        rows = [identity for identity in distinct if identity.source == source]
        for identity, details in _details(rows).items():
            found[identity] = shortened(short + details, _LONGEST)
    return _named(_numbered(found), names)


def _suffixes(paths: Sequence[str]) -> dict[str, str]:
    """The shortest unique ending of each path that is not only the name of a checkpoint."""
    parts = {path: [part for part in path.split("/") if part not in ("", ".")] for path in paths}
    counts = Counter(tuple(own[-k:]) for own in parts.values() for k in range(1, len(own) + 1))
    result = {}
    for path, own in parts.items():
        lengths = (k for k in range(1, len(own) + 1) if counts[tuple(own[-k:])] == 1)
        k = next((k for k in lengths if not _STEP.fullmatch(own[-k])), None)
        result[path] = "/".join(own[-k:]) if k else path
    return result


def _details(rows: Sequence[Identity]) -> dict[Identity, str]:
    """The end of each row's label: as few settings as possible to distinguish the rows of one model."""
    names = {name for row in rows for name, _ in row.settings}
    order = {name: place for place, name in enumerate(_FIRST)} | dict.fromkeys(_LAST, len(_FIRST) + 1)
    ordered = sorted(names, key=lambda name: (order.get(name, len(_FIRST)), name))
    chosen: list[str] = []
    groups = 1
    for name in ordered:
        split = len({tuple(row.get(one) for one in (*chosen, name)) for row in rows})
        if split > groups:
            chosen.append(name)
            groups = split
    rendered = {name: _rendered(name, [row.get(name) for row in rows]) for name in chosen}
    return {row: "".join(rendered[name][row.get(name)] for name in chosen) for row in rows}


def _rendered(name: str, values: Sequence[str | None]) -> dict[str | None, str]:
    """The text of each value in a label; empty for the default."""
    given = sorted({value for value in values if value is not None})
    rendered: dict[str | None, str] = {None: ""}
    short = _suffixes(given)
    for number, value in enumerate(given, 1):
        if name == "revision":
            rendered[value] = f"@{value}"
        elif name == "shots":
            rendered[value] = f", {value}-shot"
        elif name == "dtype":
            rendered[value] = f", {value}"
        elif name in ("commit", "adapter commit", "weights"):
            rendered[value] = f", {name} {value[:7]}"
        elif name in ("chat template", "system instruction"):
            rendered[value] = f", {name}" if len(given) == 1 else f", {name} {value[:7]}"
        elif name == "few-shot examples as turns":
            rendered[value] = f", {name}"
        elif name in (*PUBLIC_ARGUMENTS, *_SHOWN):
            rendered[value] = f", {name}={shortened(short[value], 40)}"
        else:
            rendered[value] = f", {name}" if len(given) == 1 else f", {name} #{number}"
    return rendered


def _numbered(found: Mapping[Identity, str]) -> dict[Identity, str]:
    """The same labels, with numbers after labels that became equal when they were shortened."""
    seen: Counter[str] = Counter()
    result = {}
    for identity, label in found.items():
        seen[label] += 1
        result[identity] = label if seen[label] == 1 else f"{label} ({seen[label]})"
    return result


def _named(found: dict[Identity, str], names: Sequence[str]) -> dict[Identity, str]:
    result = dict(found)
    for text in names:
        name, equals, pattern = text.partition("=")
        if not (name.strip() and equals and pattern):
            raise InputError(f"a label must be NAME=PATTERN, as in 'Mamba=*mamba*', not {text!r}")
        matching = [
            identity
            for identity, label in found.items()
            if fnmatchcase(label, pattern) or fnmatchcase(identity.source, pattern)
        ]
        if len(matching) != 1:
            which = ", ".join(repr(found[identity]) for identity in matching) or "none"
            raise InputError(
                f"the label {text!r} must match one row, and matches {which}; "
                f"the rows are {', '.join(map(repr, found.values()))}"
            )
        result[matching[0]] = printable(name.strip())
    taken = Counter(result.values())
    double = next((name for name, count in taken.items() if count > 1), None)
    if double is not None:
        raise InputError(f"two rows would have the label {double!r}; use another name in --label")
    return result

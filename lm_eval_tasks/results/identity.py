"""Identifies runs that evaluate the same model with the same prompts, which share a row of a report.

The identity of a run is everything that changes the model or the way it was prompted: the model's path,
revision and weights, the precision, adapters and every other argument of its backend, the chat template,
few-shot examples, generation settings, and the documents. Settings that only change the speed, such as the
batch size or the device, are not part of it.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dataset_builders.benchmark import Config
from dataset_builders.checks import printable
from dataset_builders.registry import default_release
from lm_eval_tasks.results.known_tasks import benchmark_of, task_config
from lm_eval_tasks.results.score import Score
from lm_eval_tasks.twins import without_twin

_MODEL_KEYS = ("peft", "delta", "pretrained", "model", "path", "engine")
"""The arguments from which lm-eval takes a model's name, in its order."""

_NOT_IDENTITY = frozenset((
    "device", "device_map", "device_map_option", "parallelize", "max_memory_per_gpu", "max_cpu_memory",
    "offload_folder", "batch_size", "max_batch_size", "tensor_parallel_size", "pipeline_parallel_size",
    "data_parallel_size", "gpus", "devices", "gpu_memory_utilization", "swap_space", "num_concurrent",
    "timeout", "max_retries", "api_key", "token", "cache_dir", "low_cpu_mem_usage", "verify_certificate",
    "header", "revision", "dtype",
))  # fmt: skip
"""Model arguments that change neither the model nor its answers, or that ``Run`` has a separate field for."""

_NOT_DOCUMENTS = frozenset((
    "version", "benchmark", "length_of", "length", "unit", "new_tokens", "config_source", "documents_sha256",
    "repeat_after_me", "num_docs", "dataset", "dataset_revision", "state_bytes",
    "no_state", "timing", "ended_prompts", "weights", "samples",
))  # fmt: skip
"""Metadata that is not compared as a setting of the documents; some of it is compared separately."""

_CHOSEN = "--samples"
"""The setting with the number of documents that the user has chosen."""


@dataclass(frozen=True)
class Identity:
    """The properties that distinguish one row of a report from the others.

    Attributes:
        source: the model as the user named it.
        settings: (name, value) of every setting that is not the default, sorted by name.
    """

    source: str
    settings: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str | None:
        return dict(self.settings).get(name)

    def with_settings(self, more: Mapping[str, str]) -> "Identity":
        return Identity(self.source, tuple(sorted({**dict(self.settings), **more}.items())))


def merged(scores: Sequence[Score]) -> list[tuple[Identity, Score]]:
    """The scores to show, each with its identity.

    If several scores have the same identity and task, the documents of each are a prefix of the others'. The
    score with the most documents is kept, and of several such scores the newest. Seconds and bytes of state
    that only the other scores have are added to it.
    """
    found: dict[tuple[Identity, str, int], list[Score]] = {}
    for identity, score in _identities(scores):
        found.setdefault((identity, score.benchmark, score.length), []).append(score)
    return [
        (identity, _with_measurements(sorted(same, key=_rank, reverse=True)))
        for (identity, _, _), same in found.items()
    ]


def _with_measurements(same: Sequence[Score]) -> Score:
    """The first of these scores, with measurements that it lacks taken from the others, in order."""
    first = same[0]
    timings = {(one.batch_size, one.machine): one for score in reversed(same) for one in score.timings}
    state_bytes = next((score.state_bytes for score in same if score.state_bytes is not None), None)
    measured = {
        "timing": [one.model_dump() for one in timings.values()] or None,
        "state_bytes": state_bytes,
    }
    known = {name: value for name, value in measured.items() if value is not None}
    return replace(first, metadata={**first.metadata, **known}) if len(same) > 1 else first


def _rank(score: Score) -> tuple[int, float]:
    return score.documents, score.run.date


def _identities(scores: Sequence[Score]) -> list[tuple[Identity, Score]]:
    found = [(Identity(score.run.model, _settings(score)), score) for score in scores]
    found = _split(found, lambda _: "", _commit)
    found = _split(found, lambda _: "", _weights)
    found = _split(found, lambda score: score.benchmark, _document_settings)
    found = _split(found, lambda score: f"{score.benchmark} {score.length}", _version)
    found = _split(found, lambda score: f"{score.benchmark} {score.length}", _samples)
    return _split(found, lambda score: f"{score.benchmark} {score.length}", _document_set)


def _split(
    found: Iterable[tuple[Identity, Score]],
    part: Callable[[Score], str],
    details: Callable[[Score, Sequence[Score]], Mapping[str, str]],
) -> list[tuple[Identity, Score]]:
    """Distinguish scores of one identity by details in which they differ within a part of the report.

    Args:
        found: the scores with their identities so far.
        part: function that returns the part of the report in which a score is compared, e.g. its benchmark.
        details: function that takes a score and the scores that it is compared with, and returns details.
    """
    by_key: dict[tuple[Identity, str], list[Score]] = {}
    for identity, score in found:
        by_key.setdefault((identity, part(score)), []).append(score)
    result = []
    for (identity, _), together in by_key.items():
        all_details = [details(score, together) for score in together]
        names = {name for one in all_details for name in one}
        differing = {name for name in names if len({one.get(name) for one in all_details}) > 1}
        for score, own in zip(together, all_details, strict=True):
            more = {name: value for name, value in own.items() if name in differing}
            result.append((identity.with_settings(more), score))
    return result


def _settings(score: Score) -> tuple[tuple[str, str], ...]:
    """Every setting of a score's run that determines the model and how it was prompted."""
    run = score.run
    settings: dict[str, Any] = {
        "revision": None if run.revision == "main" else run.revision,
        "dtype": run.dtype,
        "backend": run.backend,
        "parameters": run.parameters,
        "chat template": run.chat_template,
        "system instruction": run.system_instruction,
        "few-shot examples as turns": run.multiturn or None,
        "shots": score.shots or None,
        "gen_kwargs": run.gen_kwargs or None,
        **dict(_other_arguments(score)),
        **{
            name: found
            for name, (found, _) in differences_from_task(score).items()
            if name not in run.gen_kwargs
        },
    }
    if run.gen_kwargs or score.shots:  # greedy answers without examples do not depend on them
        settings |= run.seeds
    if run.limit is None and score.limited:
        settings[_CHOSEN] = score.documents  # documents chosen by the user, not the first ones
    return tuple(sorted((name, as_text(value)) for name, value in settings.items() if value is not None))


def prompted_alike(one: Score, other: Score) -> bool:
    """Whether scores, perhaps of different tasks, are of the same model with the same prompt settings."""
    found = [
        (
            score.run.model,
            _commit(score, ()),
            _weights(score, (one, other)),
            [(name, value) for name, value in _settings(score) if name != _CHOSEN],
        )
        for score in (one, other)
    ]
    return found[0] == found[1]


def _other_arguments(score: Score) -> Iterator[tuple[str, Any]]:
    for name, value in score.run.model_arguments.items():
        is_source = name in _MODEL_KEYS and printable(str(value)) == score.run.model
        if name not in _NOT_IDENTITY and not is_source:
            yield name, value


def differences_from_task(score: Score) -> dict[str, tuple[Any, Any]]:
    """The fields in which prompt or generation settings differ from those of the installed task.

    Returns:
        The value in the results and the value in the task, by name of the field.
    """
    task = task_config(score.task) or {}
    prompt = {
        name: (value, task.get(name))
        for name, value in score.prompt.items()
        if (value or None) != task.get(name)
    }
    own = task.get("generation_kwargs") or {}
    # if the task sets no number of new tokens, the number depends on the documents
    names = [name for name in {**own, **score.generation} if name in own or name != "max_gen_toks"]
    generation = {
        name: (score.generation.get(name), own.get(name))
        for name in names
        if score.generation.get(name) != own.get(name)
    }
    return {**prompt, **generation}


def _commit(score: Score, _: Sequence[Score]) -> dict[str, str]:
    found = {"commit": score.run.commit, "adapter commit": score.run.adapter_commit}
    return {name: commit for name, commit in found.items() if commit}


def _weights(score: Score, together: Sequence[Score]) -> dict[str, str]:
    """The checksum of the model's weights, if the scores are known to be of different weights."""
    own = score.metadata.get("weights")
    known = {as_text(one.metadata.get("weights")) for one in together} - {as_text(None)}
    return {"weights": as_text(own)} if own is not None and len(known) > 1 else {}


def _samples(score: Score, _: Sequence[Score]) -> dict[str, str]:
    """A checksum of the indices of the documents, if the user has chosen documents."""
    return {"samples": as_text(score.metadata["samples"])} if "samples" in score.metadata else {}


def _version(score: Score, _: Sequence[Score]) -> dict[str, str]:
    """The version of the task, which changes if the same answers get another score."""
    return {"version": as_text(score.metadata.get("version"))}


def _document_settings(score: Score, _: Sequence[Score]) -> dict[str, str]:
    """The arguments of the documents, except those with the benchmark's value."""
    config: Config | None = default_release().get(without_twin(score.task))
    default = {**benchmark_of(score.task).defaults, **(config.arguments if config else {})}
    skipped: Collection[str] = {*_NOT_DOCUMENTS, *score.run.model_arguments, score.metadata["length_of"]}
    return {
        printable(name): as_text(value)
        for name, value in score.metadata.items()
        if name not in skipped and value is not None and not (name in default and value == default[name])
    }


def differing_settings(scores: Sequence[Score]) -> list[str]:
    """Names of the arguments in which the documents of scores differ, including their number."""
    all_details = [
        {**_document_settings(score, scores), "num_docs": as_text(score.metadata.get("num_docs"))}
        for score in scores
    ]
    names = sorted({name for details in all_details for name in details})
    return [name for name in names if len({details.get(name) for details in all_details}) > 1]


def _document_set(score: Score, together: Sequence[Score]) -> dict[str, str]:
    """A checksum, unless the documents of the scores are prefixes of each other.

    Builders make the same first documents, whatever number is requested. So documents of the same settings
    and versions that differ only in their number are prefixes of each other.
    """
    versions = {
        as_text([one.metadata.get(key) for key in ("version", "repeat_after_me")]) for one in together
    }
    by_size: dict[Any, set[str]] = {}
    for one in together:
        by_size.setdefault(as_text(one.metadata.get("num_docs")), set()).add(one.document_set)
    prefixes = len(versions) == 1 and all(len(sets) == 1 for sets in by_size.values())
    return {} if prefixes else {"documents": score.document_set[:8]}


def as_text(value: Any) -> str:
    """A setting's value on one line."""
    if isinstance(value, str):
        return printable(value)
    return printable(json.dumps(value, sort_keys=True, ensure_ascii=False, default=str))

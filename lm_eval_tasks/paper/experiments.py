"""The paper's experiments on pretrained models, each a group of lm-eval tasks of increasing length."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from dataset_builders import InputError
from dataset_builders.benchmark import Benchmark
from dataset_builders.checks import MAX_DOCUMENTS, check_integer, did_you_mean
from dataset_builders.registry import find
from lm_eval_tasks import timing
from lm_eval_tasks.task_documents import RELEASE_KEYS


@dataclass(frozen=True)
class Experiment:
    """A group of tasks that differ in length.

    Attributes:
        name: name of the group, for ``lm_eval --tasks``, and of its figure.
        title: title in words.
        benchmark: benchmark of the tasks.
        tasks: names of the tasks, by ascending length.
        lengths: lengths of the tasks, in the benchmark's unit.
        deviations: file in this package that lists the tasks' deviations from the released code.
    """

    name: str
    title: str
    benchmark: Benchmark
    tasks: tuple[str, ...]
    lengths: tuple[int, ...]
    deviations: str

    def metadata(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The part of the user's metadata that applies to these tasks."""
        return {key: value for key, value in given.items() if key in self.metadata_keys}

    @property
    def metadata_keys(self) -> tuple[str, ...]:
        """The metadata keys that a user may set; the others are fixed by the tasks."""
        variants = self.benchmark.variants
        fixed = (*self.benchmark.lengths.parameters, *([] if variants is None else [variants.parameter]))
        return (*(key for key in self.benchmark.parameters if key not in fixed), *RELEASE_KEYS, timing.KEY)


_TITLES = {
    "phone_book": "phone book",
    "c4_copy": "copies of C4 text",
    "c4_copy_random": "copies of shuffled C4 text",
    "squad_v2_retrieval": "SQuAD v2 by paragraph length",
}


@cache
def experiments() -> dict[str, Experiment]:
    """All experiments, by name."""
    return {name: _experiment(name) for name in _TITLES}


def check_metadata(experiment: Experiment, metadata: Mapping[str, Any], batch_size: int) -> None:
    """Check the values of an experiment's metadata without reading a source or tokenizer.

    Args:
        experiment: the experiment.
        metadata: metadata of this experiment.
        batch_size: batch size of the model, which ``timing: true`` refers to.

    Raises:
        InputError: a value is invalid.
    """
    benchmark = experiment.benchmark
    timing.batch_sizes(metadata.get(timing.KEY), batch_size)
    if "num_docs" in metadata:
        check_integer("num_docs", metadata["num_docs"], 1, MAX_DOCUMENTS)
    if "seed" in metadata:
        check_integer("seed", metadata["seed"])
    for key in (*benchmark.source_parameters, *RELEASE_KEYS):
        value = metadata.get(key)
        if value is not None and not (isinstance(value, str) and value):
            raise InputError(f"{key} must be a file, a folder or a name on the Hub, not {value!r}")
    if not benchmark.source_parameters:  # the builder checks its arguments before it builds anything
        own = {key: value for key, value in metadata.items() if key in benchmark.parameters}
        benchmark.builder(**benchmark.lengths.arguments(experiment.lengths[0]), **own)


def _experiment(name: str) -> Experiment:
    benchmark = find("c4_copy" if name.startswith("c4_copy") else name)
    configs = benchmark.groups[name]
    return Experiment(
        name=name,
        title=_TITLES[name],
        benchmark=benchmark,
        tasks=tuple(config.name for config in configs),
        lengths=tuple(config.arguments[benchmark.lengths.parameter] for config in configs),
        deviations=f"{benchmark.name}/README.md",
    )


def select_experiments(names: Sequence[str]) -> list[Experiment]:
    """The experiments with these names; if there are no names, all experiments.

    Raises:
        InputError: there is no experiment with one of the names.
    """
    known = experiments()
    for name in names:
        if name not in known:
            raise InputError(
                f"there is no experiment {name!r}; the experiments are {', '.join(known)}"
                f"{did_you_mean(name, known)}"
            )
    return [experiment for name, experiment in known.items() if name in names or not names]


def read_metadata(text: str) -> dict[str, Any]:
    """``--metadata`` as a dictionary.

    Raises:
        InputError: the text is not a JSON object, or no experiment takes one of its keys.
    """
    if not text:
        return {}
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise InputError(f"--metadata must be a JSON object, as in '{{\"num_docs\": 96}}', not {text!r}")
    known = {key for one in experiments().values() for key in one.metadata_keys}
    for key in given:
        if key not in known:
            raise InputError(
                f"no experiment takes the metadata key {key!r}; the keys are {', '.join(sorted(known))}"
                f"{did_you_mean(key, known)}"
            )
    return given

"""Model types: from the name in a ``config.json`` to its configuration and model classes.

A type that transformers ships always means the classes of transformers. Packages such as
flash-linear-attention replace ``mamba`` and ``mamba2`` in the Auto classes when they are imported;
``keep_shipped_types`` undoes this. All other types are looked up at run time among the classes that imported
packages registered.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import torch
import transformers
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING, CONFIG_MAPPING_NAMES
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_MAPPING,
)

from dataset_builders import InputError
from dataset_builders.checks import did_you_mean
from synthetic_training.models.packed_attention import supply_attention
from synthetic_training.models.presets import presets

Classes = tuple[type[PreTrainedConfig], type[PreTrainedModel]]

PACKAGES = {"fla": "flash-linear-attention"}
"""Packages of models that are imported when needed, and the distribution to install for each."""


def is_shipped(model_type: str) -> bool:
    """Whether transformers itself has a causal language model of this type."""
    return model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and model_type in CONFIG_MAPPING_NAMES


@contextmanager
def keep_shipped_types() -> Iterator[None]:
    """Undo registrations within the block for types and configurations that transformers ships.

    Registrations under a package's own types, and of models for its own configuration classes, are kept,
    because they do not change the meaning of any name.
    """
    mappings = (CONFIG_MAPPING, MODEL_MAPPING, MODEL_FOR_CAUSAL_LM_MAPPING)
    before = [dict(one._extra_content) for one in mappings]
    try:
        yield
    finally:
        for mapping, extra in zip(mappings, before, strict=True):
            for key in set(mapping._extra_content) - set(extra):
                if key in CONFIG_MAPPING_NAMES or _is_of_transformers(key):
                    del mapping._extra_content[key]


def _is_of_transformers(key: object) -> bool:
    return isinstance(key, type) and key.__module__.startswith("transformers.")


def classes_of_type(model_type: str, prefix: str = "") -> Classes:
    """The classes of a type that transformers ships, or that was registered with its Auto classes.

    Args:
        model_type: type, as in ``config.json``.
        prefix: prefix of the name that an error message suggests, such as ``hf:``.

    Raises:
        InputError: the type is unknown (the message suggests the closest one, or how to use other packages),
            or transformers cannot import it.
    """
    if is_shipped(model_type):
        with keep_shipped_types():  # the modeling files of some types import flash-linear-attention
            try:
                return (
                    getattr(transformers, CONFIG_MAPPING_NAMES[model_type]),
                    getattr(transformers, MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[model_type]),
                )
            except ImportError as error:
                raise InputError(
                    f"transformers cannot import {prefix}{model_type}: {error.__cause__ or error}; is there "
                    "a folder of this name here, or another version of the package?"
                ) from error
    if model_type in CONFIG_MAPPING:
        config_class = CONFIG_MAPPING[model_type]
        if config_class in MODEL_FOR_CAUSAL_LM_MAPPING:
            return config_class, MODEL_FOR_CAUSAL_LM_MAPPING[config_class]
    package, _, own_type = model_type.partition(".")
    if own_type and own_type in (types := package_types(package)):
        return types[own_type]
    raise InputError(
        f"transformers and the imported packages have no causal language model of the type {model_type!r}"
        + (_package_hint(model_type) or did_you_mean(model_type, _known_types(), prefix))
    )


def package_types(package: str) -> dict[str, Classes]:
    """The causal language models that an imported package registered with transformers, by type.

    For types that transformers also ships, these are the package's own classes.
    """
    return {
        config.model_type: (config, model)
        for config, model in MODEL_FOR_CAUSAL_LM_MAPPING._extra_content.items()
        if config.__module__.split(".")[0] == package
    }


def package_of(model: PreTrainedModel) -> str:
    """The package that a model's class is from."""
    return type(model).__module__.split(".")[0]


def is_of_package(model: PreTrainedModel) -> bool:
    """Whether a model is one of ``PACKAGES``."""
    return package_of(model) in PACKAGES


def check_device(name: str, package: str, device: torch.device) -> None:
    """Check that a device can run the models of a package, whether or not it is installed.

    Raises:
        InputError: the package is one of ``PACKAGES``, whose kernels run only on GPUs, and the device is not
            a GPU.
    """
    if package in PACKAGES and device.type != "cuda":
        raise InputError(
            f"{name} needs a GPU: the kernels of {PACKAGES[package]} do not run on a {device.type}"
        )


def import_isolated(name: str) -> ModuleType:
    """``importlib.import_module``, but the module cannot replace the types that transformers ships."""
    with keep_shipped_types():
        module = importlib.import_module(name)
        if name.split(".")[0] == "fla":
            supply_attention()
        return module


def installation(module: str) -> str:
    """What to install for a module, as the end of an error message; empty if unknown."""
    return f"; run: pip install {PACKAGES[module]}" if module in PACKAGES else ""


def _package_hint(model_type: str) -> str:
    for package, distribution in PACKAGES.items():
        if (name := f"{package}:{model_type}") in presets()["paper"]:
            return f"; {distribution} has it; run: pip install {distribution}, and pass --model {name}"
    return ""


def _known_types() -> list[str]:
    registered = [name for name in CONFIG_MAPPING if name not in CONFIG_MAPPING_NAMES]
    return [
        *filter(is_shipped, MODEL_FOR_CAUSAL_LM_MAPPING_NAMES),
        *(name for name in registered if CONFIG_MAPPING[name] in MODEL_FOR_CAUSAL_LM_MAPPING),
    ]

"""Model types: from the name in a ``config.json`` to its configuration and model classes.

A type that transformers ships always means transformers' own classes. Packages such as flash-linear-attention
replace ``mamba`` and ``mamba2`` in the Auto classes when they are imported; that changes nothing here. All
other types are looked up in the Auto classes at run time, so that a package that registers its own is found.
"""

from __future__ import annotations

import transformers
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING, CONFIG_MAPPING_NAMES
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
)

from dataset_builders import InputError
from dataset_builders.checks import did_you_mean

Classes = tuple[type[PreTrainedConfig], type[PreTrainedModel]]

PACKAGES = {
    "fla": (
        "flash-linear-attention",
        [
            "abc",
            "cat",
            "comba",
            "cyclic_flow_attention",
            "delta_net",
            "deltaformer",
            "forgetting_transformer",
            "gated_deltanet",
            "gated_deltaproduct",
            "gla",
            "gsa",
            "hgrn",
            "hgrn2",
            "kda",
            "lightnet",
            "linear_attn",
            "log_linear_mamba2",
            "mamba3",
            "mesa_net",
            "mla",
            "moba",
            "mom",
            "nsa",
            "parallax",
            "path_attn",
            "precond_gated_deltanet",
            "precond_kda",
            "raven",
            "retnet",
            "rodimus",
            "rwkv6",
            "rwkv7",
            "samba",
            "stickbreaking_attn",
            "transformer",
            "wall_transformer",
            "yoco",
        ],
    )
}
"""Packages known to register model types: what to import, what to install, and their types (fla 0.6.0)."""


def is_shipped(model_type: str) -> bool:
    """Whether transformers itself has a causal language model of this type."""
    return model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and model_type in CONFIG_MAPPING_NAMES


def classes_of_type(model_type: str, prefix: str = "") -> Classes:
    """The classes of a type that transformers ships, or that was registered with its Auto classes.

    Args:
        model_type: as in ``config.json``.
        prefix: written before the name that an error suggests, such as ``hf:``.

    Raises:
        InputError: the type is unknown; the message names the nearest one, or the package that has it.
    """
    if is_shipped(model_type):
        return (
            getattr(transformers, CONFIG_MAPPING_NAMES[model_type]),
            getattr(transformers, MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[model_type]),
        )
    if model_type in CONFIG_MAPPING:
        config_class = CONFIG_MAPPING[model_type]
        if config_class in MODEL_FOR_CAUSAL_LM_MAPPING:
            return config_class, MODEL_FOR_CAUSAL_LM_MAPPING[config_class]
    raise InputError(
        f"transformers and the imported packages have no causal language model of the type {model_type!r}"
        + (_package_hint(model_type) or did_you_mean(model_type, _known_types(), prefix))
    )


def _known_types() -> list[str]:
    registered = [name for name in CONFIG_MAPPING if name not in CONFIG_MAPPING_NAMES]
    return [
        *filter(is_shipped, MODEL_FOR_CAUSAL_LM_MAPPING_NAMES),
        *(name for name in registered if CONFIG_MAPPING[name] in MODEL_FOR_CAUSAL_LM_MAPPING),
    ]


def _package_hint(model_type: str) -> str:
    for module, (distribution, types) in PACKAGES.items():
        if model_type in types:
            return f"; pip install {distribution}, and pass --import {module}"
    return ""

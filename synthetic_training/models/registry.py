"""Finds architectures by name, and builds untrained models of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, JambaForCausalLM, PreTrainedConfig, PreTrainedModel

from dataset_builders import InputError
from dataset_builders.checks import did_you_mean
from dataset_builders.device_functions import use_kernels_where_they_work
from dataset_builders.files import read_json
from dataset_builders.random_states import preserved_random_states
from synthetic_training.models import gpt_neox, mamba
from synthetic_training.models.architecture import Architecture
from synthetic_training.models.config_arguments import ConfigArguments
from synthetic_training.models.construction import (
    MISFITS,
    check_shapes,
    own_code_error,
    reraise_bug,
    text_config,
    untrained,
)
from synthetic_training.models.float32_gates import keep_gates_in_float32
from synthetic_training.models.model_types import PACKAGES, classes_of_type, is_shipped
from synthetic_training.models.paper_models import LAYERS, MODELS, SYMBOL_TOKENS, TRANSFORMER, WIDTH
from synthetic_training.models.presets import presets
from synthetic_training.models.size_limit import check_allocation, check_size, size_checked
from synthetic_training.models.user_code import (
    bare_module_arguments,
    classes_of_folder,
    classes_of_path,
    is_own_class,
    registered_type,
)

_ANY_ARCHITECTURE = {**TRANSFORMER, "is_decoder": True}
"""Default arguments of ``hf:TYPE``, as far as the architecture has arguments with these names."""

_PACKAGE_SIZES = {"hidden_size": WIDTH, "num_hidden_layers": LAYERS}
"""Default arguments of ``PACKAGE:TYPE``; heads and other sizes are the package's own defaults."""


def find_architecture(name: str, *, trust_remote_code: bool = False) -> Architecture:
    """The architecture with this name.

    Args:
        name: one of:

            - a key of ``MODELS``;
            - ``hf:TYPE``: a causal language model by its ``model_type``, of transformers or of a package that
              was imported;
            - ``PACKAGE:TYPE``: a model type that an installed package registers with transformers, such as
              ``fla:gla`` of flash-linear-attention, even if transformers has another model of this type;
            - ``module.path:ClassName``: a ``PreTrainedModel``, or a ``torch.nn.Module`` that maps ids
              (batch, length) to logits (batch, length, vocabulary);
            - a folder with a ``config.json``, whose weights are not loaded.
        trust_remote_code: whether code in the folder may run.

    Raises:
        InputError: there is no such model, or its code is not trusted.
    """
    if name in MODELS:
        return MODELS[name]
    if name.startswith("hf:"):
        classes = classes_of_type(name.removeprefix("hf:"), "hf:")
        language_model = classes[0].sub_configs.get("text_config")
        if language_model is AutoConfig:
            raise InputError(f"{name} is multimodal, and its language model is chosen in its configuration; "
                             "pass that model's own hf:TYPE")  # fmt: skip
        if language_model is not None and is_shipped(language_model.model_type):
            raise InputError(f"{name} is multimodal; its language model is hf:{language_model.model_type}")
        return Architecture(*classes, _ANY_ARCHITECTURE, use_fast_kernels=_use_fast_kernels_if_any)
    if (Path(name) / "config.json").is_file():
        folder, content = Path(name), read_json(Path(name) / "config.json")
        classes = classes_of_folder(folder, content, trust_remote_code)
        saved = {key: value for key, value in content.items() if key not in _WRITTEN_BY_TRANSFORMERS}
        return Architecture(*classes, saved, saved, sizes_follow=False)
    if ":" in name:
        classes_of_package = registered_type(name)
        if classes_of_package is not None:
            return Architecture(*classes_of_package, _PACKAGE_SIZES, sizes_follow=False)
        return Architecture(*classes_of_path(name), {}, sizes_follow=False)
    raise InputError(
        f"{name!r} is not a model; the models are {', '.join(MODELS)}, hf:TYPE, PACKAGE:TYPE such as "
        f"fla:gla, module.path:ClassName, and a folder with a config.json"
        f"{_same_type(name) or did_you_mean(name, MODELS)}"
    )


def _same_type(name: str) -> str:
    """The models whose type has this name, as the end of an error message; empty if there are none."""
    names = [f"hf:{name}"] if is_shipped(name) else []
    names += [f"{package}:{name}" for package in PACKAGES if f"{package}:{name}" in presets()["paper"]]
    return f"; did you mean {' or '.join(map(repr, names))}?" if names else ""


def is_own_code(name: str) -> bool:
    """Whether a name refers to a class in the user's own code, rather than in a package of models."""
    return name not in MODELS and name.partition(":")[0] not in {"hf", *PACKAGES}


_WRITTEN_BY_TRANSFORMERS = {"model_type", "architectures", "auto_map", "dtype", "transformers_version"}
"""Keys of a ``config.json`` that are not arguments of the configuration."""


def build_model(
    name: str,
    tokens: Mapping[str, int] = SYMBOL_TOKENS,
    /,
    *,
    trust_remote_code: bool = False,
    **overrides: Any,
) -> PreTrainedModel:
    """An untrained model in float32; seed torch before calling this.

    Args:
        name: see ``find_architecture``.
        tokens: ``vocab_size`` and the ids of special tokens.
        trust_remote_code: whether code in a folder may run.
        overrides: arguments of the model's configuration, such as ``hidden_size=128``, under the
            architecture's own names or the common names, and ``attn_implementation``; for a bare
            ``torch.nn.Module``, arguments of the class. If not passed, ``intermediate_size`` of attention
            models is 4 times ``hidden_size``, and ``num_key_value_heads`` equals ``num_attention_heads``.

    Raises:
        InputError: a name or argument is unknown (the message suggests the closest known one), sizes are
            incompatible or do not fit into memory (checked before memory is allocated), or the user's own
            code raises an error for these arguments.
    """
    architecture, config = _configured(name, tokens, overrides, trust_remote_code)
    model = _built(name, architecture, config, overrides)
    architecture.initialise(model)
    if "attn_implementation" not in overrides:
        architecture.use_fast_kernels(model)
    use_kernels_where_they_work(model)
    return trainable(model)


def _built(
    name: str, architecture: Architecture, config: PreTrainedConfig, overrides: Mapping[str, Any]
) -> PreTrainedModel:
    """Build a model, after checking that it fits into memory and that its weights have shapes."""
    model_class = architecture.model_class
    with _one_sentence(name, architecture, overrides):
        if not is_own_class(model_class):
            return model_class(text_config(config, model_class))
        with size_checked(name, lambda: untrained(model_class, config), preset_hint(name)):
            model = model_class(text_config(config, model_class))
        check_shapes(name, model)
        return model


def check_arguments(
    name: str, tokens: Mapping[str, int], /, *, trust_remote_code: bool = False, **overrides: Any
) -> None:
    """Check the arguments of ``build_model``, for shipped models without allocating memory.

    A model of the user's own code is built, because only this shows what its arguments do.

    Raises:
        InputError: as ``build_model``; errors of shipped models that need the values of weights are noticed
            only there.
    """
    architecture, config = _configured(name, tokens, overrides, trust_remote_code)
    if is_own_class(architecture.model_class):
        with preserved_random_states(torch.device("cpu")):
            _built(name, architecture, config, overrides)


def _configured(
    name: str, tokens: Mapping[str, int], overrides: Mapping[str, Any], trusted: bool
) -> tuple[Architecture, PreTrainedConfig]:
    """The variant of an architecture and its configuration, whose shipped model fits into memory."""
    architecture = find_architecture(name, trust_remote_code=trusted)
    chosen = {key: value for key, value in overrides.items() if key in architecture.variants}
    given = {key: value for key, value in overrides.items() if key not in chosen}
    architecture = architecture.variant(name, chosen)
    config_class, model_class = architecture.config_class, architecture.model_class
    arguments = ConfigArguments(name, config_class, frozenset(architecture.extra))
    size = tokens.get("vocab_size")
    if size is not None and given.get("vocab_size", size) != size:
        raise InputError(
            f"the task has {size} tokens; omit vocab_size={given['vocab_size']} from the arguments of {name}"
        )
    if hasattr(model_class, "module_class"):
        given = bare_module_arguments(name, model_class, tokens, architecture.defaults, given)
    defaults = {**architecture.defaults, **architecture.extra, **tokens}
    all_arguments = arguments.resolve(given, defaults)
    if architecture.sizes_follow:
        all_arguments |= arguments.transformer_sizes(all_arguments)
    with _one_sentence(name, architecture, overrides):
        config = config_class(**all_arguments)
        if not is_own_class(model_class):
            check_size(name, lambda: untrained(model_class, config), preset_hint(name))
    arguments.check_taken(config, given)
    config.dtype = torch.float32  # as in a model that from_pretrained loads; a class may read it
    return architecture, config


@contextmanager
def _one_sentence(name: str, architecture: Architecture, overrides: Mapping[str, Any]) -> Iterator[None]:
    """Turn the errors of an impossible configuration into one sentence."""
    try:
        yield
    except InputError:
        raise
    except MISFITS as error:
        reraise_bug(error)
        check_allocation(name, error)
        if is_own_code(name):
            raise own_code_error(name, "built", overrides, architecture.model_class, error) from error
        message = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{name} cannot be built with these arguments: {message.rstrip('.')}; pass others in --model-args"
            f"{preset_hint(name)}"
        ) from error


def trainable(model: PreTrainedModel) -> PreTrainedModel:
    """The model in float32, with saved tensors that are contiguous in memory.

    The optimizer updates each number, and would write behind the end of an expanded weight; a checkpoint
    cannot be loaded into an expanded buffer. The input and forget gates of an xLSTM stay in float32 under
    autocast too.
    """
    model.float()
    unsaved = {id(one) for _, one in model.named_non_persistent_buffers()}
    saved_buffers = [one for one in model.buffers() if id(one) not in unsaved]
    for tensor in (*model.parameters(), *saved_buffers):
        if tensor.layout == torch.strided:
            tensor.data = tensor.data.contiguous()
    keep_gates_in_float32(model)
    return model


def preset_hint(name: str) -> str:
    """The end of an error message about sizes, which suggests presets if the model has any."""
    names = [preset for preset, sizes in presets().items() if name in sizes]
    return f", or --preset {' or '.join(names)}" if names else ""


def use_fast_kernels(model: PreTrainedModel) -> None:
    """Enable the fast kernels in a loaded model, as ``build_model`` does."""
    known = {one.model_class: one.use_fast_kernels for one in MODELS.values()}
    known.get(type(model), _use_fast_kernels_if_any)(model)


def _use_fast_kernels_if_any(model: PreTrainedModel) -> None:
    """Enable the fast kernels of layers that other models of transformers share with those in ``MODELS``."""
    mamba.use_fast_scan(model)
    if type(model) is JambaForCausalLM:
        gpt_neox.use_causal_attention(model)

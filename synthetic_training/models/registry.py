"""Every model by its name, untrained: token ids in, logits out.

The six of arXiv 2402.01032, section 3, have the paper's sizes unless told otherwise; ``hf:TYPE`` is any
causal language model of transformers by its ``model_type``, such as ``hf:mamba2`` or ``hf:llama``.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dataset_builders import InputError
from dataset_builders.checks import did_you_mean, is_integer
from synthetic_training.data.tokens import USUAL, model_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

SYMBOL_TOKENS: Mapping[str, int] = model_tokens(USUAL)
"""The 30 symbols of the string tasks, as arguments of a model's configuration."""

_WIDTH, _LAYERS, _HEADS = 1024, 12, 16

_TRANSFORMER = {
    "hidden_size": _WIDTH,
    "num_hidden_layers": _LAYERS,
    "num_attention_heads": _HEADS,
    "max_position_embeddings": 2048,
}

_ANY_ARCHITECTURE = {**_TRANSFORMER, "is_decoder": True}
"""Arguments of ``hf:TYPE``, where the architecture has one of that name."""


@dataclass(frozen=True)
class Spec:
    """What a name stands for.

    Attributes:
        model_type: the ``model_type`` of the configuration, known to transformers' Auto classes.
        arguments: arguments of the configuration, besides the vocabulary; the paper's sizes.
        extra: arguments that the configuration takes but does not list.
        initialise: draws the initial weights anew where transformers' are not its authors'.
        hasten: gives a model the fastest way through calls without padding and cache, such as training's;
            other calls, and what is saved, are as before.
    """

    model_type: str
    arguments: Mapping[str, Any]
    extra: Mapping[str, Any] = field(default_factory=dict)
    initialise: Callable[[Any], object] = lambda _: None
    hasten: Callable[[Any], object] = lambda _: None


def _causal(model: Any) -> None:
    from synthetic_training.models.causal import use_causal_attention

    use_causal_attention(model)


def _by(implementation: str) -> Callable[[Any], object]:
    return lambda model: model.set_attn_implementation(implementation)


def _as_released(model: Any) -> None:
    from synthetic_training.models.mamba import initialise_as_released

    initialise_as_released(model, model.config.x_proj_gain)


def _fast_scan(model: Any) -> None:
    from synthetic_training.models.mamba import use_fast_scan

    use_fast_scan(model)


MODELS: dict[str, Spec] = {
    "T_rope": Spec("gpt_neox", _TRANSFORMER, {"rotary_pct": 0.25}, hasten=_causal),
    "T_nope": Spec("gpt_neox", _TRANSFORMER, {"rotary_pct": 0.0}, hasten=_causal),
    "T_alibi": Spec("gpt_neox_alibi", _TRANSFORMER, hasten=_by("alibi_fold")),
    "T_hard_alibi": Spec(
        "gpt_neox_hard_alibi", {**_TRANSFORMER, "num_masked_heads": 8}, hasten=_by("hard_alibi_split")
    ),
    "mamba": Spec(
        "mamba",
        {"hidden_size": _WIDTH, "num_hidden_layers": 24, "state_size": 32},
        {"x_proj_gain": 1.0},
        initialise=_as_released,
        hasten=_fast_scan,
    ),
    "lstm": Spec("lstm_lm", {"hidden_size": _WIDTH, "num_hidden_layers": 4}),
}

_COUNTS = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "state_size")


def build_model(name: str, tokens: Mapping[str, int] = SYMBOL_TOKENS, /, **overrides: Any) -> PreTrainedModel:
    """An untrained model in float32, with transformers' initial weights or its authors'; seed torch before.

    Args:
        name: a key of ``MODELS``, or ``hf:TYPE``.
        tokens: ``vocab_size`` and the ids of special tokens.
        overrides: arguments of the model's configuration, such as ``hidden_size=128``, and
            ``attn_implementation``. If not given, ``intermediate_size`` of attention models is 4 times
            ``hidden_size``, and ``num_key_value_heads`` equals ``num_attention_heads``.

    Raises:
        InputError: unknown name or argument, with the nearest known one; sizes that do not fit together.
    """
    import torch
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig, AutoModelForCausalLM

    import synthetic_training.models.auto_classes  # noqa: F401  makes the project's own model types known

    spec = _spec(name)
    known = _arguments_of(AutoConfig.for_model(spec.model_type)) | set(spec.extra)
    _refuse_unknown(name, overrides, known)
    given = {**spec.arguments, **spec.extra, **tokens, **overrides}
    arguments = {key: value for key, value in given.items() if key in known}
    _check_sizes(name, arguments)
    _refuse_unknown_activation(arguments)
    if "num_attention_heads" in known:
        follow = {
            "num_key_value_heads": arguments["num_attention_heads"],
            "intermediate_size": 4 * arguments["hidden_size"],
        }
        arguments = {key: value for key, value in follow.items() if key in known} | arguments
    try:
        config = AutoConfig.for_model(spec.model_type, **arguments)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    except (
        ArithmeticError,
        AssertionError,
        AttributeError,
        LookupError,
        RuntimeError,
        StrictDataclassError,
        TypeError,
        ValueError,
    ) as error:
        raise InputError(f"{name} cannot be built with these arguments: {_one_line(error)}") from error
    spec.initialise(model)
    if "attn_implementation" not in overrides:
        spec.hasten(model)
    return model


def draw_embeddings(model: PreTrainedModel, std: float) -> None:
    """Draw the token embeddings anew, normal with this standard deviation; padding stays at 0.

    Small ones, beside what the layers add, make gradients of deep models explode (arXiv 2312.16903, which has
    1, and small layers). An output head that is tied to them changes with them: untie it for large ones.
    """
    from torch import nn

    embeddings = model.get_input_embeddings()
    nn.init.normal_(embeddings.weight, std=std)
    padding = getattr(embeddings, "padding_idx", None)
    if padding is not None:
        nn.init.zeros_(embeddings.weight[padding])


def hasten(model: PreTrainedModel) -> None:
    """Give a model that was loaded the fastest way that ``build_model`` gives one of its type."""
    known = {spec.model_type: spec.hasten for spec in MODELS.values()}
    known.get(model.config.model_type, _fast_scan)(model)


def _spec(name: str) -> Spec:
    if name in MODELS:
        return MODELS[name]
    if name.startswith("hf:"):
        from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

        model_type = name.removeprefix("hf:")
        if model_type not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
            raise InputError(
                f"transformers has no causal language model of the type {model_type!r}"
                + did_you_mean(model_type, MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, "hf:")
            )
        return Spec(model_type, _ANY_ARCHITECTURE, hasten=_fast_scan)
    raise InputError(
        f"the models are {', '.join(MODELS)} and hf:TYPE; {name!r} is unknown{did_you_mean(name, MODELS)}"
    )


def _arguments_of(config: PreTrainedConfig) -> set[str]:
    """Names of the arguments that the configuration takes, with their aliases."""
    fields = {one.name for one in dataclasses.fields(config)}
    return (fields | set(config.attribute_map) | {"attn_implementation"}) - {"architectures"}


def _refuse_unknown(name: str, overrides: Iterable[str], known: set[str]) -> None:
    for argument in overrides:
        if argument not in known:
            raise InputError(f"{name} has no argument {argument!r}{did_you_mean(argument, known)}")


def _refuse_unknown_activation(arguments: Mapping[str, Any]) -> None:
    from transformers.activations import ACT2FN

    name = arguments.get("hidden_act")
    if isinstance(name, str) and name not in ACT2FN:
        raise InputError(f"transformers has no activation {name!r}{did_you_mean(name, ACT2FN)}")


def _check_sizes(name: str, arguments: Mapping[str, Any]) -> None:
    for key in _COUNTS:
        value = arguments.get(key, 1)
        if not is_integer(value) or value < 1:
            raise InputError(f"{key} of {name} must be an integer of at least 1, not {value!r}")
    width, heads = arguments.get("hidden_size"), arguments.get("num_attention_heads")
    if width and heads and width % heads and "head_dim" not in arguments:
        raise InputError(f"hidden_size must be divisible by num_attention_heads: {width} is not by {heads}")
    masked = arguments.get("num_masked_heads", 0)
    if isinstance(masked, bool) or not isinstance(masked, int) or masked < 0:
        raise InputError(f"num_masked_heads of {name} must be an integer of at least 0, not {masked!r}")
    gain = arguments.get("x_proj_gain", 1.0)
    if isinstance(gain, bool) or not isinstance(gain, int | float) or not 0 < gain < math.inf:
        raise InputError(f"x_proj_gain of {name} must be a number above 0, not {gain!r}")
    if heads and masked > heads:
        raise InputError(f"num_masked_heads must be at most num_attention_heads = {heads}, not {masked}")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__

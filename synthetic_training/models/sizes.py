"""Sizes of models: windows, sizes from presets, numbers of parameters, and whether sizes fit together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from transformers import PreTrainedModel

from dataset_builders import InputError
from dataset_builders.checks import did_you_mean, first_line
from synthetic_training.models.config_arguments import ConfigArguments
from synthetic_training.models.construction import MISFITS, bf16_advice, reraise_bug
from synthetic_training.models.paper_models import SYMBOL_TOKENS
from synthetic_training.models.presets import presets
from synthetic_training.models.registry import build_model, find_architecture, preset_hint


def window(model: PreTrainedModel) -> int | None:
    """A model's context window in tokens; None if its configuration does not limit it."""
    lengths = (getattr(model.config, name, None) for name in ("max_position_embeddings", "max_seq_len"))
    return next((length for length in lengths if isinstance(length, int) and length > 0), None)


def preset_arguments(preset: str | None, model: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """A model's arguments from the user, completed from the preset.

    Args:
        preset: name of the preset; None for none.
        model: name of the model, as in ``find_architecture``.
        given: arguments from the user, under any of their names.

    Raises:
        InputError: there is no such preset, it has no sizes for this model, or an argument is a setting of
            the run.
    """
    if "trust_remote_code" in given:
        raise InputError(
            f"trust_remote_code is no argument of {model}, but a setting of its own; pass --trust-remote-code"
        )
    if preset is None:
        return dict(given)
    known = presets()
    if preset not in known:
        raise InputError(
            f"there is no preset {preset!r}; the presets are {', '.join(known)}{did_you_mean(preset, known)}"
        )
    if model not in known[preset]:
        raise InputError(
            f"the preset {preset} has no sizes for {model}{did_you_mean(model, known[preset])}; omit "
            "--preset and pass sizes by --model-args"
        )
    arguments = known[preset][model]
    if not given:
        return dict(arguments)
    architecture = find_architecture(model)
    names = ConfigArguments(model, architecture.config_class, frozenset(architecture.extra))
    taken = {names.own_name(argument) for argument in given}
    return {key: value for key, value in arguments.items() if names.own_name(key) not in taken} | dict(given)


def count_parameters(name: str, tokens: Mapping[str, int] = SYMBOL_TOKENS, /, **overrides: Any) -> int:
    """Number of parameters of the model that ``build_model`` would return, counted without allocating it."""
    with torch.device("meta"):
        model = build_model(name, tokens, **overrides)
    return sum(parameter.numel() for parameter in model.parameters())


@torch.no_grad()
def check_forward(name: str, model: PreTrainedModel, context_length: int, *, bf16: bool) -> None:
    """Check that a model can read a row, because some incompatible sizes fail only then.

    Args:
        name: name of the model.
        model: the model on its device.
        context_length: number of tokens per row.
        bf16: whether to compute in bfloat16.

    Raises:
        InputError: the model cannot read the row.
    """
    ids = torch.zeros(1, context_length, dtype=torch.long, device=model.device)
    was_training = model.training
    try:
        with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
            model.eval()(input_ids=ids, use_cache=False)
    except MISFITS as error:
        reraise_bug(error)
        advice = bf16_advice(error, model.device) if bf16 else ""
        raise InputError(
            f"{name} cannot read a row of {context_length} tokens with these sizes: {first_line(error)}"
            + (advice or f"; pass another --context-length, others in --model-args{preset_hint(name)}")
        ) from error
    model.train(was_training)

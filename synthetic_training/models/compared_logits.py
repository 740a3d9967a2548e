"""Runs a user's models in the precision of the training, and compares their logits."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from dataset_builders import InputError
from synthetic_training.models.bare_module import BareModuleForCausalLM
from synthetic_training.seeding import seed_everything

_EQUAL = 1e-2
"""Largest difference, relative to the largest logit, between logits that should be equal.

Rounding gives about 1e-6, and constants that keep divisions stable, as in Performer, up to 3e-3."""

_EQUAL_BF16 = 2e-2
"""The same in bfloat16, where rounding alone gave up to 1e-2, with twelve causal layers that subtract a
maximum over all tokens and so let later tokens change the rounding of earlier results."""

SEED = 0
"""Seed of weights, ids and noise."""


@dataclass(frozen=True)
class Forward:
    """Runs a user's models and compares their logits.

    Attributes:
        name: name of the model.
        bf16: whether models run under bfloat16 autocast.
    """

    name: str
    bf16: bool

    def autocast(self, model: PreTrainedModel) -> torch.autocast:
        """The precision in which a model runs."""
        return torch.autocast(model.device.type, torch.bfloat16, enabled=self.bf16)

    def logits(self, model: PreTrainedModel, ids: Tensor, seed: int = SEED) -> Tensor:
        """A model's logits in float32, of shape (batch, length, vocabulary).

        Raises:
            InputError: the model returns something else.
        """
        seed_everything(seed)
        with self.autocast(model):
            if isinstance(model, BareModuleForCausalLM):  # call the module itself: the wrapper expects logits
                output = logits = model.module(ids)
                wanted = "the logits alone, as a tensor"
            else:
                output = model(input_ids=ids, use_cache=False)
                logits, wanted = getattr(output, "logits", None), "an output whose logits are a tensor"
        if not isinstance(logits, Tensor):
            raise InputError(
                f"the forward method of {self.name} must return {wanted}, not a {type(output).__name__}"
            )
        shape = (*ids.shape, model.config.vocab_size)
        if logits.shape != shape:
            raise InputError(
                f"{self.name} must map ids {(*ids.shape,)} to logits {shape}, not {(*logits.shape,)}"
            )
        return logits.float()

    def pass_in_training_mode(self, model: PreTrainedModel, ids: Tensor) -> Tensor:
        """Run three forward passes in training mode, which may update buffers; return the rows, (4, length).

        There are several rows, because some layers, such as those of BatchNorm, compute statistics over them.
        """
        rows = torch.cat([ids, others(model, ids), ids.flip(1), others(model, ids.flip(1))])
        with torch.enable_grad():
            for seed in (1, 2, 3):
                self.logits(model.train(), rows, seed)
        return rows

    def equal(self, one: Tensor, other: Tensor, tolerance: float = _EQUAL, bf16: float = _EQUAL_BF16) -> bool:
        """Whether logits are equal within a tolerance relative to the largest, ``bf16`` in bfloat16."""
        tolerance = bf16 if self.bf16 else tolerance
        return bool((one - other).abs().max() <= tolerance * other.abs().max())


def others(model: PreTrainedModel, ids: Tensor) -> Tensor:
    """Another token at each position."""
    return (ids + 1) % model.config.vocab_size


def with_noise(model: PreTrainedModel) -> PreTrainedModel:
    """Add noise to a model's trainable weights, in place, and return the model."""
    for weight in model.parameters():
        if weight.requires_grad:
            weight.add_(_noise(weight))
    return model


def with_noise_everywhere(model: PreTrainedModel) -> PreTrainedModel:
    """Add noise to a model's weights, frozen ones too, and to its buffers, and return the model."""
    for weight in model.parameters():
        weight.add_(_noise(weight))
    for module in model.modules():
        for name, value in module._buffers.items():
            if value is not None and value.is_floating_point() and value.layout == torch.strided:
                module._buffers[name] = value + _noise(value)  # not in place, because it may be expanded
    return model


def _noise(weight: Tensor) -> Tensor:
    std = 0.5 * max(weight.shape[-1], 1) ** -0.5 if weight.ndim > 1 else 0.02
    return torch.randn_like(weight) * std

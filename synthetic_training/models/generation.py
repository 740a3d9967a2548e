"""A check before training that a user's own ``PreTrainedModel`` generates the right answers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import GenerationMixin, PreTrainedModel

from dataset_builders.checks import first_line
from dataset_builders.inference_state import lost_state
from synthetic_training.models.bare_module import BareModuleForCausalLM
from synthetic_training.models.compared_logits import Forward
from synthetic_training.models.construction import MISFITS, reraise_bug

_NEW = 3
"""Number of generated tokens: the first call reads the prompt, the others one token and the state."""

_EQUAL, _EQUAL_BF16 = 1e-3, 5e-2
"""Largest relative difference; in bfloat16, that of a state that is updated token by token."""

_ADVICE = (
    "; let forward return the state and take it, or train a torch.nn.Module with the same layers, which "
    "needs no code for generation"
)


def generation_fault(run: Forward, model: PreTrainedModel, ids: Tensor) -> str | None:
    """Why a model cannot generate the right answers, as a sentence; None if it can.

    If a model returns no state, transformers passes it an empty cache and the last token alone. It does so
    even if the configuration says ``use_cache=False``, because lm-eval asks for a cache.

    Args:
        run: how the model is run.
        model: a model in evaluation mode. A bare module can always generate, by its wrapper.
        ids: token ids, (1, length), with a length of at least 4.
    """
    if isinstance(model, BareModuleForCausalLM):
        return None
    if not isinstance(model, GenerationMixin):
        return (
            f"{run.name} does not inherit from transformers' GenerationMixin: it can be trained, and "
            "evaluated on forced answers, but cannot generate answers"
        )
    if (fault := lost_state(model)) is not None:
        return f"{run.name} {fault}: generated answers would be wrong; let forward take cache too"
    prompt, generate = ids[:, :-_NEW], getattr(model, "generate")  # noqa: B009  it has no types
    options: dict[str, Any] = {"min_new_tokens": _NEW, "max_new_tokens": _NEW, "pad_token_id": 0}
    options |= {"do_sample": False, "use_cache": True, "output_logits": True, "return_dict_in_generate": True}
    try:
        with run.autocast(model):
            found = generate(prompt, attention_mask=torch.ones_like(prompt), **options)
    except MISFITS as error:
        reraise_bug(error)
        reason = f"{type(error).__name__}: {first_line(error)}"
        return (
            f"{run.name} can be evaluated on forced answers, but cannot generate answers ({reason}){_ADVICE}"
        )
    expected = run.logits(model, found.sequences)[:, prompt.shape[1] - 1 : -1]
    if run.equal(torch.stack(found.logits, dim=1).float(), expected, _EQUAL, _EQUAL_BF16):
        return None
    return (
        f"generated answers of {run.name} would be wrong: generate gives other logits than forward{_ADVICE}"
    )

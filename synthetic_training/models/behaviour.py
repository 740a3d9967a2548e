"""Checks of a user's own model before training: its forward method, what its logits depend on, and saving.

The checks run on new models of the same configuration, because a forward pass may change more of a model than
can be restored. Many architectures start with weights of zero in some layers, which would hide what these
layers do, so noise is added to the weights. Models run in the precision of the training, because some kernels
accept no other.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from dataset_builders import InputError
from dataset_builders.checks import first_line
from dataset_builders.inference_state import bits_of
from dataset_builders.random_states import preserved_random_states
from synthetic_training.models.bare_module import BareModuleForCausalLM
from synthetic_training.models.compared_logits import (
    SEED,
    Forward,
    others,
    with_noise,
    with_noise_everywhere,
)
from synthetic_training.models.construction import MISFITS, reraise_bug
from synthetic_training.models.generation import generation_fault
from synthetic_training.models.registry import trainable
from synthetic_training.models.saving import check_saving
from synthetic_training.seeding import seed_everything

_EQUAL_STATES_BF16 = 5e-2
"""The same for a state that is updated token by token, so that differences add up."""


@torch.no_grad()
def check_own_model(
    name: str, model: PreTrainedModel, length: int, *, bf16: bool = False, saves: bool = True
) -> list[str]:
    """Check that a user's model can be trained, evaluated and saved with meaningful results.

    A model whose logits depend on later tokens learns nothing, but has a high forced accuracy. Tensors that
    are neither parameters nor buffers are not saved, and others may be drawn when the model is loaded.

    Args:
        name: name of the model.
        model: the model on its device; it is not changed.
        length: number of tokens of a row.
        bf16: whether the model is trained under bfloat16 autocast.
        saves: whether this process saves models, so that it also tries to save and load this one.

    Returns:
        Warnings about behaviour that is allowed but rarely intended.

    Raises:
        InputError: the model is not causal, cannot read rows of any length, returns something else than
            finite logits of the shape (batch, length, vocabulary), does not accept the arguments with which
            it is evaluated, has a ``forward_with_state`` that gives other logits, cannot be saved, or is
            another model after it is saved and loaded.
    """
    _check_signature(name, model)
    length, run = max(length, 4), Forward(name, bf16)
    with preserved_random_states(model.device):
        ids = torch.randint(
            model.config.vocab_size, (1, length), generator=torch.Generator().manual_seed(SEED)
        )
        ids = ids.to(model.device)
        plain = _new(model)
        logits = run.logits(plain, ids)
        if not logits.isfinite().all():
            raise InputError(
                f"the logits of {name} are not finite before training; does its constructor set all weights?"
            )
        random = not all(run.equal(run.logits(plain, ids, seed), logits, 1e-4) for seed in (1, 2))
        noisy = with_noise(_new(model))
        if not run.logits(noisy, ids).isfinite().all():
            noisy = plain
        warnings = _check_causal(run, noisy, ids)
        warnings += [f"the logits of {name} are random in evaluation mode, so results vary"] if random else []
        warnings += [] if random else _unequal_lengths(run, noisy, ids)
        warnings += _ignored(run, noisy, ids)
        faults = _fails_in_float32(run, noisy, ids), None if random else generation_fault(run, noisy, ids)
        warnings += filter(None, faults)
        _check_state(run, noisy, ids)
        if saves:
            warnings += check_saving(run, noisy, ids)
    return warnings


def _new(model: PreTrainedModel) -> PreTrainedModel:
    """A new model of the same configuration, on the same device."""
    seed_everything(SEED)
    return trainable(type(model)(model.config)).to(model.device).eval()


def _check_state(run: Forward, model: PreTrainedModel, ids: Tensor) -> None:
    """Raise InputError if a bare module's ``forward_with_state`` does not give the logits of ``forward``."""
    if not isinstance(model, BareModuleForCausalLM) or not hasattr(model.module, "forward_with_state"):
        return
    read: Any = model.module.forward_with_state
    state, parts = None, []
    first, last = ids.split([ids.shape[1] - 2, 2], dim=1)
    for part in (first, *last.split(1, dim=1)):
        try:
            with run.autocast(model):
                logits, state = read(part, state)
        except (TypeError, ValueError) as error:
            message = (
                f"forward_with_state of {run.name} must map ids and a state to logits and the next state"
            )
            raise InputError(f"{message}: {first_line(error)}") from error
        shape = (*part.shape, model.config.vocab_size)
        if not isinstance(logits, Tensor) or logits.shape != shape:
            found = tuple(logits.shape) if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
            raise InputError(
                f"forward_with_state of {run.name} must map ids {(*part.shape,)} to logits {shape}, "
                f"not {found}"
            )
        parts.append(logits.float())
    bits_of(state)
    if not run.equal(torch.cat(parts, dim=1), run.logits(model, ids), 1e-3, _EQUAL_STATES_BF16):
        raise InputError(f"forward_with_state of {run.name} gives other logits than forward")


def _fails_in_float32(run: Forward, model: PreTrainedModel, ids: Tensor) -> str | None:
    """Why a model that is trained in bfloat16 cannot be evaluated in float32; None if it can."""
    if not run.bf16:
        return None
    try:
        Forward(run.name, bf16=False).logits(model, ids)
    except MISFITS as error:
        reraise_bug(error)
        return (
            f"{run.name} can be trained in bf16, but evaluate, and lm-eval without dtype=bfloat16, run it in "
            f"float32, which fails ({type(error).__name__}: {first_line(error)}); let it convert to the "
            "dtype of its weights"
        )
    return None


def _check_signature(name: str, model: PreTrainedModel) -> None:
    parameters = inspect.signature(model.forward).parameters
    if not any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
        missing = [one for one in ("input_ids", "attention_mask", "use_cache") if one not in parameters]
        if missing:
            raise InputError(f"the forward method of {name} must take the arguments {', '.join(missing)}")


def _check_causal(run: Forward, model: PreTrainedModel, ids: Tensor) -> list[str]:
    """A warning if logits depend slightly on later tokens; in bfloat16, rounding may hide this.

    Tokens are changed from the second on, because a model that is not causal within chunks of tokens is so
    within the first; only the last, in case that chunks end with the row; and the second half.

    Raises:
        InputError: logits depend on later tokens by more than constants that keep divisions stable explain.
    """
    logits, length, slightly = run.logits(model, ids), ids.shape[1], False
    for first in (1, length // 2, length - 1):
        changed = torch.where(torch.arange(length, device=ids.device) >= first, others(model, ids), ids)
        before, after = logits[:, :first], run.logits(model, changed)[:, :first]
        if not run.equal(after, before):
            raise InputError(f"{run.name} is not causal: its logits depend on later tokens")
        slightly |= not run.equal(after, before, 1e-4)
    return [
        f"the logits of {run.name} depend slightly on later tokens, so it may learn to see the answer"
    ] * slightly


def _unequal_lengths(run: Forward, model: PreTrainedModel, ids: Tensor) -> list[str]:
    """Warnings if a row's logits depend on its length, or on the other rows of the batch.

    Raises:
        InputError: the model cannot read rows of some length.
    """
    logits, starts, warnings = run.logits(model, ids), {}, []
    for count in (1, 3, ids.shape[1] - 1):
        try:
            starts[count] = run.logits(model, ids[:, :count])
        except InputError:
            raise
        except MISFITS as error:
            reraise_bug(error)
            raise InputError(
                f"{run.name} must read rows of any number of tokens, but for {count} it raises "
                f"{type(error).__name__}: {first_line(error)}; pad inside forward"
            ) from error
    if not all(run.equal(start, logits[:, :count]) for count, start in starts.items()):
        warnings.append(
            f"the logits of {run.name} depend on the number of tokens that follow, so forced and generated "
            "answers may differ"
        )
    # a recurrence over rows changes only later ones
    rows = run.logits(model, torch.cat([ids, others(model, ids), ids]))
    if not run.equal(rows[::2], logits.expand(2, -1, -1)):
        warnings.append(
            f"the logits of {run.name} depend on the other rows of the batch; ids have the shape "
            "(batch, length)"
        )
    return warnings


def _ignored(run: Forward, model: PreTrainedModel, ids: Tensor) -> list[str]:
    """A warning if the logits do not depend on earlier tokens or on their order.

    A gate that is closed at first may open in training, in a forward pass, or by a change of a buffer or of a
    frozen weight.
    """
    if _what_is_ignored(run, model, ids) is None:
        return []
    trained = with_noise(_new(model))
    run.pass_in_training_mode(trained, ids)
    if (ignored := _what_is_ignored(run, trained.eval(), ids)) is None:
        return []
    sentence = f"the logits of {run.name} do not depend on {ignored}"
    try:
        if _what_is_ignored(run, with_noise_everywhere(trained), ids) != ignored:
            hopeless = "; unless these change, it cannot learn to copy" if ignored == _EARLIER else ""
            return [f"{sentence} with its current buffers and frozen weights{hopeless}"]
    except MISFITS as error:  # noise makes some buffers meaningless
        reraise_bug(error)
    return [f"{sentence}, so it cannot learn to copy" if ignored == _EARLIER else sentence]


_EARLIER = "earlier tokens"


def _what_is_ignored(run: Forward, model: PreTrainedModel, ids: Tensor) -> str | None:
    """What the last token's logits ignore; None if they ignore nothing, or are not finite."""
    last, of = run.logits(model, ids)[:, -1], ids[:, -1:]
    changed, reordered = (
        run.logits(model, torch.cat([past, of], dim=1))[:, -1]
        for past in (others(model, ids[:, :-1]), ids[:, :-1].flip(1))
    )
    if run.equal(changed, last, 1e-6, bf16=1e-6):
        return _EARLIER
    return "the order of earlier tokens" if run.equal(reordered, last, 1e-5, bf16=5e-3) else None

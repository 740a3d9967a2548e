"""How many bits a model keeps between two tokens: mem(S) of the paper, counted rather than derived.

The model runs on ``length`` tokens, and the numbers in the state that it passes on to its next call are
counted; see ``dataset_builders.inference_state``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dataset_builders import InputError
from dataset_builders.checks import check_integer, first_line
from dataset_builders.inference_state import bits_of, state_of

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


def state_bits(model: PreTrainedModel, length: int, dtype: torch.dtype | None = None) -> int:
    """Size in bits of a model's state after one text of ``length`` tokens.

    The model is created again on PyTorch's ``meta`` device, which has only shapes, so that a large model at a
    large length takes no memory. A model that cannot run there runs on its own device, if in its own dtype.

    Args:
        model: any causal language model of transformers, or of this project.
        length: number of tokens read.
        dtype: dtype of the computation; by default, the model's own. A model may keep a part of its state in
            another dtype.

    Raises:
        InputError: the model returns no state, or needs operations that ``meta`` does not support.
    """
    import torch

    check_integer("length", length, 1)
    try:
        with torch.device("meta"):
            shapes = type(model)(model.config).to(dtype or model.dtype).eval()
        return _count(shapes, length)
    except (NotImplementedError, RuntimeError) as error:
        if model.device.type == "meta" or dtype not in (None, model.dtype):
            raise InputError(
                f"{model.config.model_type} cannot run on the meta device: {first_line(error)}"
            ) from error
    # mixtures of experts select experts by their values
    return _count(model, length)


def _count(model: PreTrainedModel, length: int) -> int:
    import torch

    tokens = torch.zeros(1, length, dtype=torch.int64, device=model.device)
    with torch.no_grad():
        return bits_of(state_of(model(input_ids=tokens, use_cache=True)))

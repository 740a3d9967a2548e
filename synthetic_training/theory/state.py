"""The size of a model's state in bits, mem(S) of the paper, counted rather than derived.

The model reads ``length`` tokens, and the size of the state that it passes to its next call is added up; see
``dataset_builders.inference_state``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dataset_builders import InputError
from dataset_builders.checks import check_integer, first_line
from dataset_builders.inference_state import bits_of, state_of

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


def state_bits(model: PreTrainedModel, length: int, dtype: torch.dtype | None = None) -> int:
    """Size in bits of a model's state after one text of ``length`` tokens.

    The model is created again on PyTorch's ``meta`` device, which has only shapes, so that large models and
    lengths take no memory. Kernels written in Triton, which need a GPU, do nothing there. If the model cannot
    run there and ``dtype`` is its own dtype, it runs on its own device.

    Args:
        model: any causal language model of transformers, or of this project.
        length: number of tokens read.
        dtype: dtype of the computation (default: the model's). A model may keep parts of its state in another
            dtype.

    Raises:
        InputError: the model returns no state, or needs operations that ``meta`` does not support.
    """
    import torch

    check_integer("length", length, 1)
    try:
        with torch.device("meta"):
            shapes = type(model)(model.config).to(dtype or model.dtype).eval()
        with _without_triton():
            return _count(shapes, length)
    except (NotImplementedError, RuntimeError) as error:
        if model.device.type == "meta" or dtype not in (None, model.dtype):
            raise InputError(
                f"{model.config.model_type} cannot run on the meta device: {first_line(error)}"
            ) from error
    # mixtures of experts cannot run on the meta device: the selected experts depend on values
    return _count(model, length)


@contextmanager
def _without_triton() -> Iterator[None]:
    """Launches of Triton kernels do nothing; tensors without values would be null pointers on a GPU."""
    if "triton" not in sys.modules:
        yield
        return
    from triton.runtime.autotuner import Autotuner, Heuristics
    from triton.runtime.jit import JITFunction

    launchers = (JITFunction, Autotuner, Heuristics)
    kept = [one.run for one in launchers]
    try:
        for one in launchers:
            one.run = lambda *_, **__: None
        yield
    finally:
        for one, run in zip(launchers, kept, strict=True):
            one.run = run


def _count(model: PreTrainedModel, length: int) -> int:
    import torch

    tokens = torch.zeros(1, length, dtype=torch.int64, device=model.device)
    with torch.no_grad():
        return bits_of(state_of(model(input_ids=tokens, use_cache=True)))

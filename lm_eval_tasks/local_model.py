"""Direct access to decoders that lm-eval runs in this process, to measure their state and speed."""

import inspect
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from dataset_builders.errors import InputError
from dataset_builders.inference_state import state_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class LocalModel(ABC):
    """A decoder in this process.

    Args:
        lm: the ``lm_eval.api.model.LM`` that wraps it.

    Attributes:
        module: the module whose ``forward`` is called once with a prompt, and then once with each new token.
    """

    module: "torch.nn.Module"

    def __init__(self, lm: Any) -> None:
        self._lm = lm

    @abstractmethod
    def state_after(self, tokens: "Tensor") -> Any:
        """The state after the tokens of prompts (batch, length), for ``inference_state.bits_of``.

        Raises:
            InputError: the model does not show its state.
        """

    @abstractmethod
    def generate(self, tokens: "Tensor", new_tokens: int) -> None:
        """Continue prompts (batch, length) greedily, each by exactly this many tokens."""

    def tensor(self, rows: list[list[int]]) -> "Tensor":
        """Rows of token ids of equal length as a tensor, on the device of the model's input."""
        import torch

        return torch.tensor(rows, device=self._lm.device)

    @property
    def devices(self) -> "tuple[torch.device, ...]":
        """The devices of the parameters; with ``parallelize=True`` there may be several."""
        found = {one.device for one in self.module.parameters()}
        return tuple(sorted((one for one in found if one.type != "meta"), key=str))  # meta: offloaded

    def synchronize(self) -> None:
        """Wait until the devices have finished all queued work."""
        import torch

        for device in self.devices:
            if device.type != "cpu":
                getattr(torch, device.type).synchronize(*[device] * (device.type != "mps"))

    def _precision(self) -> "AbstractContextManager[Any]":
        """lm-eval's autocast context, for ``mixed_precision_dtype`` if it is set."""
        import torch

        dtype = getattr(self._lm, "mixed_precision_dtype", None)
        return torch.autocast(self._lm.device.type, dtype=dtype, enabled=dtype is not None)


class _Transformers(LocalModel):
    """A model of transformers, with or without PEFT adapters."""

    def __init__(self, lm: Any) -> None:
        super().__init__(lm)
        below_adapters = getattr(lm.model, "get_base_model", lambda: lm.model)
        self.module = below_adapters()

    def state_after(self, tokens: "Tensor") -> Any:
        import torch

        inner: Any = self.module.base_model  # does not compute logits of the whole prompt
        if "use_cache" not in inspect.signature(inner.forward).parameters:
            raise InputError("the model does not accept use_cache")
        with torch.no_grad(), self._precision():
            return state_of(inner(input_ids=tokens, use_cache=True))

    def generate(self, tokens: "Tensor", new_tokens: int) -> None:
        import torch

        with self._precision():
            self._lm.model.generate(
                input_ids=tokens,
                attention_mask=torch.ones_like(tokens),
                min_new_tokens=new_tokens,
                max_new_tokens=new_tokens,
                do_sample=False,
                use_cache=True,
                pad_token_id=self._lm.tokenizer.pad_token_id,
            )


class _MambaSsm(LocalModel):
    """A model of the ``mamba_ssm`` package, pure or with attention layers."""

    def __init__(self, lm: Any) -> None:
        super().__init__(lm)
        self.module = lm.model

    def state_after(self, tokens: "Tensor") -> Any:
        import torch
        from mamba_ssm.utils.generation import InferenceParams

        batch, length = tokens.shape
        # the package allocates keys and values of attention layers for max_seqlen tokens
        parameters = InferenceParams(max_seqlen=length, max_batch_size=batch)
        with torch.no_grad(), self._precision():
            self.module(tokens, inference_params=parameters, num_last_tokens=1)
        return parameters.key_value_memory_dict

    def generate(self, tokens: "Tensor", new_tokens: int) -> None:
        with self._precision():
            self._lm.model.generate(input_ids=tokens, max_length=tokens.shape[1] + new_tokens)


def is_hugging_face(lm: Any) -> bool:
    """Whether an ``LM`` is lm-eval's ``hf`` or derived from it, as ``mamba_ssm`` is."""
    return any(parent.__module__ == "lm_eval.models.huggingface" for parent in type(lm).__mro__)


def local_model(lm: Any) -> LocalModel | None:
    """The decoder that PyTorch runs in this process; None for servers, other engines and encoder-decoders.

    Decoders come from lm-eval's ``hf`` and ``mamba_ssm``, and from classes derived from them. One of these,
    ``openvino``, runs models in another engine.
    """
    if not is_hugging_face(lm):
        return None
    import torch

    model: Any = lm.model
    if not isinstance(model, torch.nn.Module):
        return None
    encoder_decoder = getattr(getattr(model, "config", None), "is_encoder_decoder", None)
    if encoder_decoder is not None:
        return None if encoder_decoder else _Transformers(lm)
    return _MambaSsm(lm) if hasattr(model, "allocate_inference_cache") else None

"""A stand-in for the part of ``mamba_ssm`` that this project and lm-eval call, with transformers' Mamba.

``mamba_ssm`` itself needs a GPU. As there, the model keeps its state in the inference parameters of a call,
and ``generate`` takes no attention mask, stops only at ``max_length`` and refuses any argument that is not
named here.
"""

import inspect
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from dataset_builders.inference_state import state_of


@dataclass
class InferenceParams:
    max_seqlen: int
    max_batch_size: int
    seqlen_offset: int = 0
    key_value_memory_dict: dict[Any, Any] = field(default_factory=dict)


class MambaLMHeadModel(torch.nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.config = SimpleNamespace(d_model=model.config.hidden_size, vocab_size=model.config.vocab_size)

    @classmethod
    def from_pretrained(cls, name: str, device: Any = None, dtype: Any = None) -> "MambaLMHeadModel":
        return cls(AutoModelForCausalLM.from_pretrained(name, dtype=dtype).to(device))

    def tie_weights(self) -> None:
        self.model.tie_weights()

    def allocate_inference_cache(self, batch_size: int, max_seqlen: int) -> Any:
        raise NotImplementedError

    def forward(
        self,
        input_ids: torch.Tensor,
        position_ids: torch.Tensor | None = None,
        inference_params: InferenceParams | None = None,
        num_last_tokens: int = 0,
    ) -> Any:
        if inference_params is None:
            return SimpleNamespace(logits=self.model(input_ids).logits)
        kept = inference_params.key_value_memory_dict
        options = {"cache_params": kept["state"]} if inference_params.seqlen_offset else {}
        if "cache_position" in inspect.signature(self.model.forward).parameters:
            options["cache_position"] = inference_params.seqlen_offset + torch.arange(
                input_ids.shape[1] if not options else 1
            )
        output = self.model(input_ids, use_cache=True, **options)
        kept["state"] = state_of(output)
        return SimpleNamespace(logits=output.logits[:, -num_last_tokens:])

    @torch.inference_mode()
    def generate(
        self, input_ids: torch.Tensor, max_length: int, top_k: int = 1, temperature: float = 1.0
    ) -> torch.Tensor:
        assert top_k == 1, "greedy, as mamba_ssm is unless asked otherwise"
        parameters = InferenceParams(max_seqlen=max_length, max_batch_size=len(input_ids))
        found = [input_ids]
        while parameters.seqlen_offset < max_length - 1:
            logits = self(found[-1], inference_params=parameters, num_last_tokens=1).logits
            parameters.seqlen_offset += found[-1].shape[1]
            found.append(logits.argmax(-1))
        return torch.cat(found, dim=1)


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make ``import mamba_ssm`` find the stand-in."""
    names = ("mamba_ssm", "mamba_ssm.utils", "mamba_ssm.utils.hf", "mamba_ssm.utils.generation")
    names += ("mamba_ssm.models", "mamba_ssm.models.mixer_seq_simple")
    modules: dict[str, Any] = {name: ModuleType(name) for name in names}
    modules["mamba_ssm.utils.hf"].load_config_hf = lambda name: json.loads(
        (Path(name) / "config.json").read_text()
    )
    modules["mamba_ssm.utils.generation"].InferenceParams = InferenceParams
    modules["mamba_ssm.models.mixer_seq_simple"].MambaLMHeadModel = MambaLMHeadModel
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)

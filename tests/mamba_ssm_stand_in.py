"""The part of the ``mamba_ssm`` package that lm-eval calls, over transformers' own Mamba.

``mamba_ssm`` itself needs a GPU. Like it, ``generate`` takes no attention mask, stops at ``max_length`` alone
and refuses any argument that is not named here.
"""

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM


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

    def forward(self, input_ids: torch.Tensor) -> Any:
        return SimpleNamespace(logits=self.model(input_ids).logits)

    def generate(
        self, input_ids: torch.Tensor, max_length: int, top_k: int = 1, temperature: float = 1.0
    ) -> torch.Tensor:
        assert top_k == 1, "greedy, as mamba_ssm is unless asked otherwise"
        new = max_length - input_ids.shape[1]
        return self.model.generate(
            input_ids, min_new_tokens=new, max_new_tokens=new, do_sample=False, suppress_tokens=None
        )


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``import mamba_ssm`` find the stand-in."""
    names = ("mamba_ssm", "mamba_ssm.utils", "mamba_ssm.utils.hf", "mamba_ssm.models")
    modules = {name: ModuleType(name) for name in (*names, "mamba_ssm.models.mixer_seq_simple")}
    modules["mamba_ssm.utils.hf"].load_config_hf = lambda name: json.loads(  # type: ignore[attr-defined]
        (Path(name) / "config.json").read_text()
    )
    modules["mamba_ssm.models.mixer_seq_simple"].MambaLMHeadModel = MambaLMHeadModel  # type: ignore[attr-defined]
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)

"""A user's own ``PreTrainedModel`` that converts its weights or inputs to bfloat16."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

from dataset_builders import InputError
from synthetic_training.models.behaviour import check_own_model
from synthetic_training.models.registry import build_model
from synthetic_training.models.saved import load_model, save_with_code
from synthetic_training.training.run import train
from tests.tiny_run import tiny

HERE = __name__


class Config(PreTrainedConfig):
    model_type = "in_bfloat16"

    def __init__(
        self, vocab_size: int = 30, where: str = "", dtype: Any = torch.bfloat16, **others: Any
    ) -> None:
        self.vocab_size, self.where = vocab_size, where
        super().__init__(dtype=dtype, **others)


class InBfloat16(PreTrainedModel):
    """A gated recurrent unit that uses bfloat16 where its configuration says."""

    config_class = Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        dtype = {"layer": torch.bfloat16, "its dtype": config.dtype}.get(config.where)
        self.embed, self.gru = nn.Embedding(config.vocab_size, 16), nn.GRU(16, 16, batch_first=True)
        self.head = nn.Linear(16, config.vocab_size, dtype=dtype)
        self.post_init()
        if config.where == "model":
            self.to(torch.bfloat16)

    def forward(self, input_ids: Tensor, attention_mask: Any = None, use_cache: Any = None) -> Any:
        x = self.gru(self.embed(input_ids))[0]
        if self.config.where == "input":
            x = x.bfloat16()
        if self.config.where == "its dtype":
            x = x.to(self.config.dtype)
        return CausalLMOutput(logits=self.head(x))


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize(("where", "weight"), [("model", "embed.weight"), ("layer", "head.weight")])
def test_weights_that_loading_would_round_are_named(where: str, weight: str, bf16: bool) -> None:
    sentence = (
        f"weights of it would be rounded when it is loaded, because its code builds {weight} in bfloat16; "
    )
    with pytest.raises(InputError, match=sentence):
        check_own_model("it", build_model(f"{HERE}:InBfloat16", where=where), 16, bf16=bf16)


def test_a_model_that_fails_in_float32_is_named_before_it_is_trained_in_bfloat16() -> None:
    model = build_model(f"{HERE}:InBfloat16", where="input")
    warning, generation = check_own_model("it", model, 16, bf16=True)
    assert "it can be trained in bf16, but evaluate, and lm-eval without dtype=bfloat16, run it in" in warning
    assert "does not inherit from transformers' GenerationMixin" in generation
    assert len(check_own_model("it", build_model(f"{HERE}:InBfloat16"), 16, bf16=True)) == 1


def test_a_model_may_use_the_dtype_of_its_configuration(tmp_path: Path) -> None:
    """It is that of the weights, in training and after loading, whatever the configuration's default is."""
    settings = tiny(model=f"{HERE}:InBfloat16", model_args={"where": "its dtype"}, steps=8, save_every=2)
    train(settings, tmp_path / "run")
    model = load_model(tmp_path / "run" / "model", trust_remote_code=True)
    assert model.config.dtype == model.head.weight.dtype == torch.float32
    save_with_code(model, tmp_path / "again")
    assert model(torch.arange(5)[None]).logits.dtype == torch.float32


@pytest.mark.parametrize("name", [f"{HERE}:InBfloat16", "hf:llama", "lstm"])
def test_a_precision_of_weights_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="omit dtype=bfloat16: the weights of .* are float32; --precision"):
        build_model(name, dtype="bfloat16")

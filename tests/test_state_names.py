"""Models that lose their state while they generate, because transformers 5.24 has renamed it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lm_eval.models.huggingface import HFLM
from torch import Tensor
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, GPTNeoXForCausalLM

from dataset_builders import InputError, inference_state
from dataset_builders.inference_state import lost_state
from lm_eval_tasks.state_names import lost_state_warning
from synthetic_training.evaluation.config import EvaluateConfig
from synthetic_training.evaluation.evaluate import evaluate
from synthetic_training.models.paper_models import MODELS
from synthetic_training.models.registry import build_model
from synthetic_training.training.run import train
from tests.models import byte_tokenizer, tiny_model
from tests.tiny_run import tiny as tiny_settings
from tests.tiny_synthetic_models import tiny


class OldName(GPTNeoXForCausalLM):
    def forward(self, input_ids: Tensor, past_key_values: Any = None, **kwargs: Any) -> Any:
        kwargs.pop("cache", None)
        if past_key_values is not None:
            kwargs["past_key_values"] = past_key_values
        return super().forward(input_ids, **kwargs)


@pytest.mark.parametrize("passes_cache", [False, True])
def test_a_model_that_takes_an_old_name_is_warned_of(passes_cache: bool, monkeypatch: Any) -> None:
    monkeypatch.setattr(inference_state, "_passes_cache", lambda: passes_cache)
    model = OldName(tiny_model("gpt_neox").config)
    lm = HFLM(pretrained=model, tokenizer=byte_tokenizer(), device="cpu")
    warning = lost_state_warning(lm)
    assert (warning is not None) == passes_cache
    if warning is not None:
        assert "takes its state as past_key_values" in warning and "install transformers<5.24" in warning


@torch.no_grad()
def test_the_answers_of_such_a_model_are_wrong() -> None:
    """With a transformers that passes the new name, and only then."""
    torch.manual_seed(0)
    model = OldName(tiny_model("gpt_neox").config).eval()
    for weight in model.parameters():
        weight.normal_(std=0.3)
    ids = torch.arange(3, 15)[None]
    options = {"max_new_tokens": 8, "min_new_tokens": 8, "do_sample": False}
    cached, whole = (model.generate(ids, use_cache=use_cache, **options) for use_cache in (True, False))
    assert cached.equal(whole) == (lost_state(model) is None)


def test_models_of_other_backends_are_not() -> None:
    for model in (None, torch.nn.Linear(2, 2), SimpleNamespace(config=1)):
        assert lost_state_warning(SimpleNamespace(model=model)) is None


@pytest.mark.parametrize(
    "name", ["T_alibi", "T_hard_alibi", "lstm", "tests.gated_linear_attention:GatedLinearAttention"]
)
def test_models_of_this_project_are_not(name: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(inference_state, "_passes_cache", lambda: True)
    assert lost_state(tiny(name) if name in MODELS else build_model(name)) is None


def test_no_model_of_transformers_is() -> None:
    found = {}
    for kind in MODEL_FOR_CAUSAL_LM_MAPPING.values():
        classes = kind if isinstance(kind, (list, tuple)) else [kind]
        found.update({one.__name__: lost_state(one) for one in classes})
    assert len(found) > 50
    assert not [name for name, old in found.items() if old is not None]


def test_evaluate_does_not_generate_with_such_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = train(tiny_settings(steps=2, warmup_steps=0, eval_every=2), tmp_path / "run")
    monkeypatch.setattr("dataset_builders.inference_state.lost_state", lambda model: "takes its state as X")
    with pytest.raises(InputError, match="takes its state as X, .* or evaluate it without --generate"):
        evaluate(EvaluateConfig(out, generate=True))
    evaluate(EvaluateConfig(out, lengths=(5,), num_examples=2))

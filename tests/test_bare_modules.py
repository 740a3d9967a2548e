"""Bare modules as models: saving, gradients, padding, and errors."""

import json
import linecache
import random
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lm_eval.models.huggingface import HFLM
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from dataset_builders import InputError
from synthetic_training.__main__ import main
from synthetic_training.evaluation import accuracy
from synthetic_training.evaluation.config import EvaluateConfig
from synthetic_training.evaluation.evaluate import evaluate
from synthetic_training.models.bare_module import BareModuleForCausalLM
from synthetic_training.models.behaviour import check_own_model
from synthetic_training.models.embeddings import draw_embeddings
from synthetic_training.models.registry import build_model
from synthetic_training.models.saved import load_model, save_with_code
from synthetic_training.training.run import train
from tests.conftest import Run
from tests.gated_linear_attention import GatedLinearAttention, GatedLinearAttentionForCausalLM
from tests.tiny_run import SETTINGS, tiny, weights

HERE = __name__


class Tricky(nn.Module):
    """Has a tied head, an expanded buffer that is not saved, and a tensor that is no parameter or buffer."""

    def __init__(self, vocab_size: int, width: int = 8) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocab_size, width)
        self.head = nn.Linear(width, vocab_size, bias=False)
        self.head.weight = self.embed.weight
        self.register_buffer("scale", torch.full((1,), 3.0).expand(width), persistent=False)
        self.shift = torch.linspace(0, 1, width)

    def forward(self, ids: Tensor) -> Tensor:
        # a sum over the past, which padding would change
        return self.head(self.embed(ids).cumsum(1) * self.scale + self.shift)


def tricky() -> Any:
    torch.manual_seed(0)
    return build_model(f"{HERE}:Tricky", width=4)


def test_a_bare_module_comes_back_with_all_its_tensors(tmp_path: Path) -> None:
    model = tricky()
    ids = torch.arange(9)[None]
    assert torch.equal(model(ids).logits, model.module(ids))
    save_with_code(model, tmp_path)
    for again in (
        load_model(tmp_path, trust_remote_code=True),
        type(model).from_pretrained(tmp_path),
        AutoModelForCausalLM.from_pretrained(tmp_path, trust_remote_code=True),
    ):
        assert torch.equal(again(ids).logits, model(ids).logits)
        assert again.module.head.weight is again.module.embed.weight
    rebuilt = build_model(str(tmp_path), trust_remote_code=True)
    assert rebuilt.num_parameters() == model.num_parameters() == 30 * 4


class Unusual(Tricky):
    """Has complex and expanded weights, a layer with buffers under two names, and draws by all generators."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size)
        self.turn = nn.Parameter(torch.randn(8, dtype=torch.complex128))
        self.heads = nn.Parameter(torch.randn(8).expand(3, 8))
        self.norm = nn.BatchNorm1d(8)
        self.list = nn.ModuleList([self.norm])
        self.drawn = nn.Parameter(torch.full((8,), random.random() + np.random.rand()))

    def forward(self, ids: Tensor) -> Tensor:
        mixed = (self.embed(ids).cumsum(1) * self.turn).real
        normed = self.list[0](mixed.flatten(0, 1)).view_as(mixed)
        drawn = self.drawn * (1 + self.training * random.random())
        return self.head(normed * drawn * (self.heads * self.head.weight[:3]).sum(0))


def test_unusual_tensors_are_trained_saved_and_resumed(tmp_path: Path) -> None:
    config = tiny(model=f"{HERE}:Unusual", model_args={}, steps=8)
    train(config, tmp_path / "run")
    model = load_model(tmp_path / "run" / "model", trust_remote_code=True).module
    start = build_model(f"{HERE}:Unusual").module
    assert model.turn.dtype == start.turn.dtype == torch.complex64
    assert model.heads.std(0).max() > 0  # the rows of an expanded weight are trained independently
    assert model.norm is model.list[0] and model.norm.num_batches_tracked == 8
    train(config, tmp_path / "again")
    assert weights(tmp_path / "again") == weights(tmp_path / "run")
    shutil.rmtree(tmp_path / "again" / "model")
    train(config, tmp_path / "again", resume=True)
    assert weights(tmp_path / "again") == weights(tmp_path / "run")


OF_ONE_EMBEDDING = """
from torch import nn

class Own(nn.Embedding):
    def __init__(self, vocab_size):
        super().__init__(vocab_size, vocab_size)
"""


@pytest.mark.parametrize("name", ["bare_module", "modeling_wrapped"])
def test_a_file_named_like_one_in_the_folder_of_a_saved_model_replaces_none(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"{name}.py").write_text(OF_ONE_EMBEDDING)
    monkeypatch.syspath_prepend(tmp_path)
    model, ids = build_model(f"{name}:Own"), torch.arange(9)[None]
    save_with_code(model, tmp_path / "model")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "model", trust_remote_code=True)
    assert torch.equal(again(ids).logits, model(ids).logits)


def of_width(width: int) -> type[nn.Module]:
    class OfWidth(Tricky):
        def __init__(self, vocab_size: int) -> None:
            super().__init__(vocab_size, width)

    return OfWidth


Narrow = of_width(4)


def test_a_class_that_a_saved_model_could_not_import_is_refused() -> None:
    with pytest.raises(InputError, match=f"{HERE}:Narrow could not be loaded again: .* no class OfWidth"):
        build_model(f"{HERE}:Narrow")


def test_gradients_flow_as_in_the_bare_module() -> None:
    model = build_model("tests.gated_linear_attention:GatedLinearAttention", hidden_size=16)
    bare = GatedLinearAttention(30, hidden_size=16)
    bare.load_state_dict(model.module.state_dict())
    ids = torch.randint(0, 26, (3, 11), generator=torch.Generator().manual_seed(0))
    loss = model(ids, labels=ids).loss
    loss.backward()
    expected = nn.functional.cross_entropy(bare(ids)[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    expected.backward()
    torch.testing.assert_close(loss, expected)
    for one, other in zip(model.parameters(), bare.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


@pytest.mark.parametrize(("left", "right"), [(3, 0), (0, 3), (2, 2)])
@torch.no_grad()
def test_padding_changes_no_logits_of_a_bare_module(left: int, right: int) -> None:
    model = tricky()
    ids = torch.randint(0, 26, (2, 7), generator=torch.Generator().manual_seed(0))
    padded = nn.functional.pad(ids, (left, right), value=29)
    mask = nn.functional.pad(torch.ones_like(ids), (left, right))
    padded[1, : left + 1], mask[1, : left + 1] = 29, 0  # rows of different lengths
    logits = model(padded, attention_mask=mask).logits
    torch.testing.assert_close(logits[:1, left : left + 7], model(ids[:1]).logits)
    torch.testing.assert_close(logits[1:, left + 1 : left + 7], model(ids[1:, 1:]).logits)


class Uncausal(nn.Module):
    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocab_size, vocab_size)

    def forward(self, ids: Tensor) -> Tensor:
        return self.embed(ids) + self.embed(ids).mean(1, keepdim=True)


class Limited(GatedLinearAttention):
    """Reads up to 20 tokens."""

    max_position_embeddings = 20

    def forward(self, ids: Tensor) -> Tensor:
        assert ids.shape[1] <= 20, f"{ids.shape[1]} tokens are too many"
        return super().forward(ids)


def test_a_bare_module_may_have_a_context_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    score = accuracy.length_score
    too_long = "Limited has a context window of 20 tokens, but rows have up to 32; reduce --context-length "
    with pytest.raises(InputError, match=too_long):  # max_position_embeddings is no argument of the module
        train(tiny(model=f"{HERE}:Limited", model_args={}), tmp_path / "run")
    train(
        tiny(model=f"{HERE}:Limited", model_args={}, context_length=16, steps=2, warmup_steps=0),
        tmp_path / "run",
    )
    lm = HFLM(pretrained=str(tmp_path / "run" / "model"), trust_remote_code=True, device="cpu")
    assert lm.max_length == 20
    asked = EvaluateConfig(tmp_path / "run", lengths=(2, 30), num_examples=2, trust_remote_code=True)
    evaluated: list[int] = []
    monkeypatch.setattr(accuracy, "length_score", lambda *args: evaluated.append(args[1]) or score(*args))
    with pytest.raises(InputError, match="cannot read the 63 tokens of .* length 30: 63 tokens are too many"):
        evaluate(asked)
    assert evaluated == [30], "before the error, lengths that fit were evaluated in vain"


class Hidden(Uncausal):
    def forward(self, ids: Tensor) -> Tensor:
        return self.embed(ids)[..., :-1]


def test_a_model_that_sees_the_future_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="it is not causal: its logits depend on later tokens"):
        check_own_model("it", build_model(f"{HERE}:Uncausal"), 12)
    (tmp_path / "run.json").write_text(json.dumps({**SETTINGS, "model_args": {}}))
    command = ["train", "--config", str(tmp_path / "run.json"), "--out", str(tmp_path / "run")]
    with pytest.raises(SystemExit, match=f"error: {HERE}:Uncausal is not causal"):
        main([*command, "--model", f"{HERE}:Uncausal"])
    assert not (tmp_path / "run").exists()


class WithState(Uncausal):
    def forward(self, ids: Tensor) -> Any:
        return self.embed(ids), None


class BareOutput(GatedLinearAttentionForCausalLM):
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return super().forward(*args, **kwargs).logits


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("Hidden", r"it must map ids \(1, 16\) to logits \(1, 16, 30\), not \(1, 16, 29\)"),
        ("WithState", "the forward method of it must return the logits alone, as a tensor, not a tuple"),
        ("BareOutput", "must return an output whose logits are a tensor, not a Tensor"),
    ],
)
def test_other_outputs_than_logits_are_refused(name: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        check_own_model("it", build_model(f"{HERE}:{name}"), 16)


class Heads(nn.Module):
    """Fails in its constructor if the width is not a number, and in its forward pass if it is odd."""

    def __init__(self, vocab_size: int, width: Any = 8) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocab_size, width)
        self.head = nn.Linear(width, vocab_size)

    def forward(self, ids: Tensor) -> Tensor:
        heads = self.embed(ids).view(*ids.shape, 2, -1)
        logits: Tensor = self.head(heads.flatten(2))
        return logits


@pytest.mark.parametrize(
    ("width", "sentence"),
    [
        ("abc", "cannot be built with width=abc: TypeError: empty()"),
        ("9", "cannot be run with width=9: RuntimeError: shape '[1, 220, 2, -1]' is invalid"),
    ],
)
def test_what_a_module_raises_for_its_arguments_is_one_sentence(
    width: str, sentence: str, run_here: Run
) -> None:
    result = run_here(
        *("synthetic_training", "train", "--model", f"{HERE}:Heads", "--model-args", f"width={width}"),
        *("--out", "run", "--steps", "2", "--warmup-steps", "1"),
    )
    (line,) = result.stderr.splitlines()
    assert result.returncode == 1 and line.startswith(f"error: {HERE}:Heads {sentence}")
    raised = linecache.getline(__file__, int(re.search(r"\(test_bare_modules.py, line (\d+)", line)[1]))
    assert "nn.Embedding(" in raised if width == "abc" else ".view(" in raised


def test_embeddings_that_cannot_be_found_are_not_drawn() -> None:
    with pytest.raises(InputError, match="omit --embedding-std"):
        draw_embeddings(tricky(), 1.0)


def test_a_class_has_one_wrapper() -> None:
    one = BareModuleForCausalLM.around(Tricky)
    assert one is BareModuleForCausalLM.around(Tricky) and one.__name__ == "TrickyForCausalLM"

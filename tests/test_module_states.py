"""The state of a bare module: generation from it, its size, and errors."""

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from lm_eval.models.huggingface import HFLM
from torch import Tensor, nn

from dataset_builders import InputError
from lm_eval_tasks.state_size import state_bytes
from synthetic_training.data.symbol_tokenizer import symbol_tokenizer
from synthetic_training.models.behaviour import check_own_model
from synthetic_training.models.registry import build_model
from synthetic_training.models.saved import save_with_code
from synthetic_training.theory.state import state_bits

HERE = __name__


class Recurrent(nn.Module):
    """A leaky sum of embeddings, which counts the tokens that it reads."""

    def __init__(self, vocab_size: int, width: int = 8) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(vocab_size, width), nn.Linear(width, vocab_size)
        self.read = 0

    def forward(self, ids: Tensor) -> Tensor:
        return self.forward_with_state(ids, None)[0]

    def forward_with_state(self, ids: Tensor, state: Any) -> tuple[Tensor, Any]:
        self.read += ids.shape[1]
        total, seen = (
            (torch.zeros(len(ids), self.embed.embedding_dim), 0) if state is None else state["layers"]
        )
        totals = []
        for x in self.embed(ids).unbind(1):
            total = 0.7 * total + x
            totals.append(total)
        return self.head(torch.stack(totals, 1)), {"layers": (total, seen + ids.shape[1])}


def drawn(name: str = "Recurrent") -> Any:
    torch.manual_seed(0)
    return build_model(f"{HERE}:{name}").eval()


def generate(model: Any, ids: Tensor, mask: Tensor | None = None, **options: Any) -> Tensor:
    mask = torch.ones_like(ids) if mask is None else mask
    texts = model.generate(
        ids, attention_mask=mask, max_new_tokens=6, do_sample=False, pad_token_id=29, **options
    )
    return texts[:, ids.shape[1] :]


def test_each_generated_token_takes_one_step() -> None:
    model = drawn()
    assert check_own_model("it", model, 16) == []
    ids = torch.randint(0, 26, (3, 9), generator=torch.Generator().manual_seed(1))
    answers = generate(model, ids)
    assert model.module.read == 9 + 5
    model.module.read = 0
    assert torch.equal(generate(model, ids, use_cache=False), answers)
    assert model.module.read == sum(range(9, 15))


def test_padded_rows_get_the_answers_of_single_rows() -> None:
    model = drawn()
    ids = torch.randint(0, 26, (2, 9), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    ids[1, :4], mask[1, :4] = 29, 0
    both = generate(model, ids, mask)
    assert torch.equal(both[:1], generate(model, ids[:1])) and torch.equal(
        both[1:], generate(model, ids[1:, 4:])
    )


@pytest.mark.parametrize("name", ["past_key_values", "cache"])
def test_a_state_is_read_under_the_names_of_old_and_new_versions(name: str) -> None:
    model = drawn()
    ids = torch.randint(0, 26, (2, 9), generator=torch.Generator().manual_seed(1))
    output = model(ids[:, :4], use_cache=True)
    state = output["cache"] if "cache" in output else output["past_key_values"]
    torch.testing.assert_close(model(ids[:, 4:], **{name: state}).logits, model(ids).logits[:, 4:])


def test_the_state_is_counted(tmp_path: Path) -> None:
    model = drawn()
    assert state_bits(model, 5) == state_bits(model, 50) == 32 * 8
    save_with_code(model, tmp_path)
    symbol_tokenizer(64).save_pretrained(tmp_path)
    lm = HFLM(pretrained=str(tmp_path), trust_remote_code=True, device="cpu")
    assert state_bytes(lm, "$abc|") == 4 * 8


class StandInForMinLM(nn.Module):
    """Has the arguments of minGRU-pytorch's ``minLM``, and reads only the last token after a state."""

    def __init__(self, *, num_tokens: int, dim: int, depth: int) -> None:
        super().__init__()
        self.inner = nn.ModuleList(Recurrent(num_tokens, dim) for _ in range(depth))

    def forward(self, x: Tensor, return_prev_hiddens: bool = False, prev_hiddens: Any = None) -> Any:
        before = [None] * len(self.inner) if prev_hiddens is None else prev_hiddens
        x = x if prev_hiddens is None else x[:, -1:]
        logits, after = zip(
            *[one.forward_with_state(x, s) for one, s in zip(self.inner, before, strict=True)], strict=True
        )
        return (sum(logits), list(after)) if return_prev_hiddens else sum(logits)


def test_the_wrapper_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[1] / "docs" / "your_architecture.md").read_text(encoding="utf-8")
    (code,) = (b for b in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "minGRU" in b)
    for name in ("minGRU_pytorch", "minGRU_pytorch.minLM"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setattr(sys.modules["minGRU_pytorch.minLM"], "minLM", StandInForMinLM, raising=False)
    (tmp_path / "wrapped_mingru.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    model = build_model("wrapped_mingru:MinGRU", dim=8)
    assert check_own_model("it", model, 16) == []
    assert state_bits(model, 5) == 2 * 8 * 32


class Forgets(Recurrent):
    def forward_with_state(self, ids: Tensor, state: Any) -> tuple[Tensor, Any]:
        return super().forward_with_state(ids, None)


class ReturnsLogits(Recurrent):
    def forward_with_state(self, ids: Tensor, state: Any) -> Any:
        return super().forward_with_state(ids, state)[0]

    def forward(self, ids: Tensor) -> Tensor:
        return super().forward_with_state(ids, None)[0]


class LastLogits(ReturnsLogits):
    def forward_with_state(self, ids: Tensor, state: Any) -> Any:
        logits, state = Recurrent.forward_with_state(self, ids, state)
        return logits[:, -1:], state

    def forward(self, ids: Tensor) -> Tensor:
        return Recurrent.forward_with_state(self, ids, None)[0]


class Stateless(ReturnsLogits):
    def forward_with_state(self, ids: Tensor, state: Any) -> Any:
        return self.forward(ids), None


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("Forgets", "forward_with_state of it gives other logits than forward"),
        ("ReturnsLogits", "forward_with_state of it must map ids and a state to logits and the next state: "),
        ("LastLogits", r"must map ids \(1, 14\) to logits \(1, 14, 30\), not \(1, 1, 30\)"),
        ("Stateless", "contains no floating-point numbers"),
    ],
)
@pytest.mark.parametrize("bf16", [False, True])
def test_a_state_that_cannot_be_used_is_refused(name: str, sentence: str, bf16: bool) -> None:
    with pytest.raises(InputError, match=sentence):
        check_own_model("it", drawn(name), 16, bf16=bf16)

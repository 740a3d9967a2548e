"""Own modules whose constructors create tensors in other precisions than float32."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from synthetic_training.models.behaviour import check_own_model
from synthetic_training.models.registry import build_model
from synthetic_training.models.saved import load_model, save_with_code

KINDS = ("parameter", "buffer", "buffer that is not saved")
TYPES = (torch.float64, torch.float16, torch.complex128)


class Mixed(nn.Module):
    """Multiplies by a matrix that was made with NumPy, in double precision."""

    def __init__(self, vocab_size: int, kind: str, dtype: str) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(vocab_size, 8), nn.Linear(8, vocab_size)
        matrix = torch.from_numpy(np.random.default_rng(0).normal(size=(8, 8))).to(getattr(torch, dtype))
        if kind == "parameter":
            self.matrix = nn.Parameter(matrix)
        else:
            self.register_buffer("matrix", matrix, persistent=kind == "buffer")

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed(ids).cumsum(1).tanh().cumsum(1) / 8
        if self.matrix.is_complex():
            return self.head((x.to(torch.complex64) @ self.matrix).real.to(x.dtype))
        return self.head(x @ self.matrix)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_module_is_like_the_trained_one(kind: str, dtype: torch.dtype, tmp_path: Path) -> None:
    name = f"{__name__}:Mixed"
    model = build_model(name, kind=kind, dtype=str(dtype).removeprefix("torch."))
    expected = torch.complex64 if dtype.is_complex else torch.float32
    assert model.module.matrix.dtype == expected
    assert check_own_model("it", model, 16) == []
    with torch.no_grad():
        model.module.matrix += 1e-5  # too small a difference for float16
    if kind == "buffer that is not saved":
        model.module.matrix -= 1e-5
    save_with_code(model, tmp_path)
    again, ids = load_model(tmp_path, trust_remote_code=True), torch.arange(12)[None]
    assert again.module.matrix.dtype == expected
    torch.testing.assert_close(again(ids).logits, model(ids).logits)
    low = type(model).from_pretrained(tmp_path, dtype=torch.bfloat16)  # as lm-eval's dtype=bfloat16
    torch.testing.assert_close(low(ids).logits.float(), model(ids).logits, atol=0.1, rtol=0.1)

"""The optimizer against PyTorch's AdamW and clip_grad_norm_."""

import copy
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.func import functional_call

from dataset_builders import InputError
from synthetic_training.training.optimizer import ClippedAdamW, OptimizerConfig


class Tied(nn.Module):
    """Two linear layers, and an embedding that shares its weight with a third."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(7, 16)
        self.inner = nn.Sequential(nn.Linear(16, 24), nn.GELU(), nn.LayerNorm(24), nn.Linear(24, 16))
        self.head = nn.Linear(16, 7, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.inner(self.embed(ids)))


def summed_loss(model: nn.Module, copies: dict[str, Tensor], step: int, bf16: bool) -> Tensor:
    ids = torch.randint(7, (5, 9), generator=torch.Generator().manual_seed(step))
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        logits = functional_call(model, copies, (ids,)).float()
    return nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten(), reduction="sum")


def train(model: nn.Module, optimizer: ClippedAdamW, steps: range, bf16: bool) -> None:
    for step in steps:
        optimizer.zero_grad()
        optimizer.learning_rate.fill_(1e-2 / (1 + step))
        summed_loss(model, optimizer.copies, step, bf16).backward()
        assert optimizer.step(torch.tensor(32.0))


def plain(model: nn.Module, steps: int, clip: float | None, bf16: bool) -> torch.optim.AdamW:
    adamw = torch.optim.AdamW(model.parameters(), weight_decay=0.1)
    for step in range(steps):
        adamw.param_groups[0]["lr"] = 1e-2 / (1 + step)
        adamw.zero_grad()
        (summed_loss(model, {}, step, bf16) / 32).backward()
        for weight in model.parameters():
            if weight.is_complex():  # PyTorch's AdamW fails for lazily conjugated gradients
                weight.grad = weight.grad.resolve_conj()
        if clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        adamw.step()
    return adamw


class Complex(Tied):
    """A transition with complex eigenvalues, as in state space models."""

    def __init__(self) -> None:
        super().__init__()
        self.rotation = nn.Parameter(torch.randn(16, dtype=torch.complex64))

    def forward(self, ids: Tensor) -> Tensor:
        # the gradient of a conjugated weight is a lazily conjugated tensor
        return self.head((self.inner(self.embed(ids)) * self.rotation.conj()).real)


@pytest.fixture(autouse=True)
def eager():
    """Functions that are compiled on a GPU run uncompiled."""
    with torch.compiler.set_stance("force_eager"):
        yield


@pytest.mark.parametrize("clip", [0.05, 1e3, None])
@pytest.mark.parametrize(("bf16", "copies"), [(False, False), (True, False), (True, True)])
def test_it_is_adamw_with_clipping(clip: float | None, bf16: bool, copies: bool) -> None:
    torch.manual_seed(0)
    model = Tied()
    expected = copy.deepcopy(model)
    adamw = plain(expected, 3, clip, bf16)
    optimizer = ClippedAdamW(model, OptimizerConfig(weight_decay=0.1, grad_clip=clip), copies=copies)
    assert set(optimizer.copies) == ({"inner.0.weight", "inner.3.weight"} if copies else set())
    train(model, optimizer, range(3), bf16)
    for (name, found), wanted in zip(model.named_parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(
            found, wanted, rtol=1e-5, atol=1e-4 if bf16 else 1e-6, msg=name
        )  # steps of 1e-2
    # weights would hardly show a wrong scale of all gradients
    state = optimizer.state_dict()
    for name, weight in expected.named_parameters():
        for key in ("exp_avg", "exp_avg_sq"):
            wanted = adamw.state[weight][key]
            close = 0.02 if bf16 else 1e-5
            error = (state[f"{key}/{name}"] - wanted).norm() / wanted.norm()
            assert error < close, (key, name, error)
    for name, found in optimizer.copies.items():
        assert torch.equal(found, dict(model.named_parameters())[name].bfloat16())


@pytest.mark.parametrize("clip", [0.05, None])
def test_complex_weights_are_updated_as_by_adamw(clip: float | None) -> None:
    torch.manual_seed(0)
    model = Complex()
    expected = copy.deepcopy(model)
    adamw = plain(expected, 3, clip, False)
    optimizer = ClippedAdamW(model, OptimizerConfig(weight_decay=0.1, grad_clip=clip), copies=False)
    train(model, optimizer, range(3), False)
    for (name, found), wanted in zip(model.named_parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6, msg=name)
    for key in ("exp_avg", "exp_avg_sq"):
        wanted = torch.view_as_real(adamw.state[expected.rotation][key])
        torch.testing.assert_close(optimizer.state_dict()[f"{key}/rotation"], wanted, rtol=1e-4, atol=1e-9)


class Partly(Tied):
    """Has layers that never get a gradient, and others that get one in every second step only."""

    def __init__(self) -> None:
        super().__init__()
        self.unused, self.gain = nn.Linear(16, 16), nn.Parameter(torch.ones(16))
        self.sometimes = nn.Linear(16, 16)
        self.calls = 0

    def forward(self, ids: Tensor) -> Tensor:
        self.calls += 1
        x = self.embed(ids)
        return self.head(self.inner(x if self.calls % 2 else self.sometimes(x) * self.gain))


@pytest.mark.parametrize(("bf16", "copies"), [(False, False), (True, False), (True, True)])
def test_weights_without_a_gradient_stay_as_they_are(bf16: bool, copies: bool) -> None:
    torch.manual_seed(0)
    model = Partly()
    expected = copy.deepcopy(model)
    adamw = plain(expected, 5, 0.5, bf16)
    optimizer = ClippedAdamW(model, OptimizerConfig(weight_decay=0.1, grad_clip=0.5), copies=copies)
    assert not copies or {"unused.weight", "sometimes.weight"} < set(optimizer.copies)
    before = copy.deepcopy(model)
    train(model, optimizer, range(5), bf16)
    state, close = optimizer.state_dict(), 5e-4 if bf16 else 1e-6
    for (name, found), wanted in zip(model.named_parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=close, msg=name)
        assert state[f"step/{name}"] == adamw.state[wanted].get("step", 0)
    assert torch.equal(model.unused.weight, before.unused.weight)
    assert state["step/sometimes.weight"] == state["step/gain"] == 2


@pytest.mark.parametrize(
    ("model_class", "copies"),
    [(Partly, False), (Partly, True), (Tied, False), (Tied, True), (Complex, False)],
)
def test_a_state_goes_on_to_the_bit(model_class: type[Tied], copies: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    whole = model_class()
    halves = copy.deepcopy(whole)
    settings = OptimizerConfig(weight_decay=0.1, grad_clip=1.0)
    train(whole, ClippedAdamW(whole, settings, copies=copies), range(6), True)

    first = ClippedAdamW(halves, settings, copies=copies)
    train(halves, first, range(3), True)
    save_file(first.state_dict(), tmp_path / "state.safetensors")
    kept = load_file(tmp_path / "state.safetensors")
    second = ClippedAdamW(halves, settings, copies=copies)
    second.load_state_dict(kept)
    train(halves, second, range(3, 6), True)
    for found, wanted in zip(halves.parameters(), whole.parameters(), strict=True):
        assert torch.equal(found, wanted)


@pytest.mark.parametrize("copies", [False, True])
def test_a_gradient_that_is_not_finite_changes_nothing(copies: bool) -> None:
    torch.manual_seed(0)
    model = Tied()
    optimizer = ClippedAdamW(model, OptimizerConfig(weight_decay=0.1, grad_clip=1.0), copies=copies)
    train(model, optimizer, range(2), True)
    before = copy.deepcopy(model.state_dict())
    state = {name: value.clone() for name, value in optimizer.state_dict().items()}
    optimizer.zero_grad()
    (summed_loss(model, optimizer.copies, 2, True) * torch.inf).backward()
    assert not optimizer.step(torch.tensor(32.0))
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    for name, value in optimizer.state_dict().items():
        assert torch.equal(value, state[name]), name


class Repeated(nn.Module):
    """A linear layer that is used twice, under two names, and one with an old weight norm."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.Linear(16, 16)
        self.embed, self.layers = nn.Embedding(7, 16), nn.ModuleList([layer, layer])
        self.normed, self.head = nn.utils.weight_norm(nn.Linear(16, 16)), nn.Linear(16, 7)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed(ids)
        for layer in self.layers:
            x = layer(x).tanh()
        return self.head(self.normed(x))


@pytest.mark.filterwarnings("ignore:.*weight_norm")
def test_layers_with_two_names_keep_their_weights() -> None:
    """``functional_call`` would leave a copy in place of the weight."""
    model, other = Repeated(), Repeated()
    other.load_state_dict(model.state_dict())
    weight = model.layers[0].weight
    optimizer = ClippedAdamW(model, OptimizerConfig(0.1, 0.5), copies=True)
    assert [*optimizer.copies] == ["head.weight"]
    train(model, optimizer, range(5), bf16=True)
    plain(other, 5, 0.5, bf16=True)
    assert model.layers[0].weight is weight and {p.dtype for p in model.parameters()} == {torch.float32}
    for one, expected in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one, expected, rtol=1e-3, atol=1e-4)


def test_a_model_without_trained_weights_is_refused() -> None:
    with pytest.raises(InputError, match="no weights that require a gradient"):
        ClippedAdamW(Tied().requires_grad_(False), OptimizerConfig(0.1, 0.5), copies=False)


def test_a_sparse_gradient_is_refused() -> None:
    model = nn.Linear(4, 5, bias=False)
    optimizer = ClippedAdamW(model, OptimizerConfig(0.1, 1.0), copies=False)
    nn.functional.embedding(torch.tensor([1, 2]), model.weight, sparse=True).sum().backward()
    with pytest.raises(InputError, match="cannot update weight from a sparse gradient; remove sparse=True"):
        optimizer.step(torch.tensor(2.0))

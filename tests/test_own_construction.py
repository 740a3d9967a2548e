"""A user's own class is built once, on the CPU, and the size check does not change its random numbers."""

import functools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dataset_builders import InputError
from synthetic_training.figures.reproduce import reproduce
from synthetic_training.models.registry import build_model, check_arguments
from synthetic_training.models.saved import load_model, save_with_code
from synthetic_training.models.size_limit import size_checked
from tests.tiny_figure import a_figure
from tests.tiny_run import SETTINGS

HERE = __name__
TOKENS = {"vocab_size": 30}


class Plain(nn.Module):
    """The mean of the embeddings up to each token, and two layers."""

    def __init__(self, vocab_size: int, width: int = 8, **more: Any) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(vocab_size, width), nn.Linear(width, vocab_size)
        self.mix = nn.Linear(width, width, **more)

    def forward(self, ids: Tensor) -> Tensor:
        place = torch.arange(1, ids.shape[1] + 1, device=ids.device)[:, None]
        return self.head(self.mix(self.embed(ids)).cumsum(1) / place)


@functools.lru_cache
def table(width: int) -> Tensor:
    return torch.linspace(0.5, 1.5, width)


class CachesTables(Plain):
    """Keeps its tables in a cache of the module and in one of the class."""

    tables: ClassVar[dict[int, Tensor]] = {}

    def __init__(self, vocab_size: int, width: int = 8) -> None:
        super().__init__(vocab_size, width)
        self.register_buffer("scale", table(width))
        self.shift = self.tables.setdefault(width, torch.ones(width))

    def forward(self, ids: Tensor) -> Tensor:
        return super().forward(ids) * self.scale.sum() + self.shift.sum()


WEIGHTS = {"weight": torch.eye(8), "bias": torch.zeros(8)}


class LoadsWeights(Plain):
    """Loads weights in its constructor; on the meta device, this would only cause a warning."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size)
        self.mix.load_state_dict(WEIGHTS)


class NeedsTheCpu(Plain):
    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size)
        assert self.mix.weight.device.type == "cpu"
        if self.head.weight.device.type != "cpu":
            raise ValueError("only for the CPU")


class DrawsInManyWays(Plain):
    """Draws with and without a generator, in and out of place, and looks at what it drew."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size)
        own = torch.Generator().manual_seed(3)
        nn.init.orthogonal_(self.mix.weight)
        nn.init.trunc_normal_(self.head.weight)
        kept = (torch.rand(8) < 0.5).nonzero().sum()
        drawn = [torch.randn(4, generator=own), torch.randperm(9), kept, nn.functional.dropout(torch.ones(9))]
        drawn += [torch.empty(3).exponential_(), torch.tensor(np.random.rand())]
        for number, tensor in enumerate(drawn):
            self.register_buffer(f"drawn_{number}", tensor)


@pytest.mark.parametrize("name", ["Plain", "CachesTables", "LoadsWeights", "NeedsTheCpu", "DrawsInManyWays"])
def test_a_class_is_built_as_without_the_check(name: str, recwarn: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    np.random.seed(0)
    model = build_model(f"{HERE}:{name}", TOKENS)
    after = torch.rand(1)
    torch.manual_seed(0)
    np.random.seed(0)
    expected = globals()[name](30).state_dict()
    assert torch.equal(after, torch.rand(1))
    built = model.module.state_dict()
    assert list(built) == list(expected)
    assert all(torch.equal(built[key], expected[key]) for key in built)
    assert model(torch.arange(5)[None]).logits.isfinite().all()
    save_with_code(model, tmp_path)
    again = load_model(tmp_path, trust_remote_code=True).module.state_dict()
    assert all(torch.equal(again[key], built[key]) for key in built)
    assert [str(one.message) for one in recwarn] == []


class Lazy(Plain):
    """Has a layer that learns its size from its first input."""

    def __init__(self, vocab_size: int, called: bool = False) -> None:
        super().__init__(vocab_size)
        self.mix = nn.LazyLinear(8)
        if called:
            self(torch.zeros(1, 1, dtype=torch.long))


def test_a_lazy_layer_needs_a_first_input() -> None:
    sentence = (
        r":Lazy has a lazy layer, whose weight mix.weight has no shape yet; pass its input size, or call"
    )
    with pytest.raises(InputError, match=sentence):
        build_model(f"{HERE}:Lazy", TOKENS)
    assert build_model(f"{HERE}:Lazy", TOKENS, called=True).module.mix.weight.shape == (8, 8)


class Counted(Plain):
    """Has a ``__new__``, and its own name for the instance."""

    made = 0

    def __new__(cls, *_arguments: Any, **_named: Any) -> Any:
        cls.made += 1
        return super().__new__(cls)

    def __init__(this, vocab_size: int, **more: Any) -> None:  # noqa: N805
        super().__init__(vocab_size, **more)


@pytest.mark.parametrize(("name", "argument"), [("Plain", "self"), ("Counted", "this"), ("Counted", "cls")])
def test_an_argument_that_python_passes_is_refused(name: str, argument: str) -> None:
    with pytest.raises(InputError, match=f"Python passes '{argument}' to .*:{name} itself; omit it"):
        check_arguments(f"{HERE}:{name}", TOKENS, **{argument: 3})
    check_arguments(f"{HERE}:{name}", TOKENS, bias=False)


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"unknown": 1}, r"Plain cannot be built with unknown=1: TypeError: .* argument 'unknown'"),
    ({"width": "abc"}, r"Plain cannot be built with width=abc: TypeError"),
    ({"width": 8.5}, r"Plain cannot be built with width=8.5: TypeError"),
    ({"width": -3}, r"Plain cannot be built with width=-3: RuntimeError"),
]


@pytest.mark.parametrize(("arguments", "sentence"), FAULTS)
def test_a_dry_run_notices_arguments_of_which_no_model_can_be_built(
    arguments: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        check_arguments(f"{HERE}:Plain", TOKENS, **arguments)


def test_a_dry_run_draws_no_random_numbers() -> None:
    states: list[Callable[[], Any]] = [random.getstate, lambda: np.random.get_state()[1].tolist()]
    states.append(lambda: torch.get_rng_state().tolist())
    before = [state() for state in states]
    check_arguments(f"{HERE}:DrawsInManyWays", TOKENS)
    assert [state() for state in states] == before


class Tower(nn.Module):
    """Has layers of 1 MiB, and notes their device."""

    devices: ClassVar[list[str]] = []

    def __init__(self, vocab_size: int, depth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        for _ in range(depth):
            self.layers.append(nn.Linear(512, 512, bias=False))
            self.devices.append(self.layers[-1].weight.device.type)


def test_a_model_is_tried_without_memory_once_it_takes_a_quarter_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for place in ("synthetic_training.memory", "synthetic_training.models.size_limit"):
        monkeypatch.setattr(f"{place}.total_memory", lambda _: 40 * 2**20)
    monkeypatch.setattr(Tower, "devices", [])
    with pytest.raises(InputError, match="Tower needs at least 0.04 GiB of memory"):
        build_model(f"{HERE}:Tower", TOKENS, depth=10**6)
    assert Tower.devices == ["cpu"] * 10 + ["meta"] * 40
    Tower.devices.clear()
    build_model(f"{HERE}:Tower", TOKENS, depth=20)
    assert Tower.devices == ["cpu"] * 10 + ["meta"] * 20 + ["cpu"] * 10


HUGE = 10**7
LARGE: dict[str, Callable[[], Any]] = {
    "drawn": lambda: torch.randn(HUGE, HUGE),
    "drawn by a generator": lambda: torch.randn(HUGE, HUGE, generator=torch.Generator()),
    "outer": lambda: torch.outer(torch.ones(HUGE), torch.ones(HUGE)),
    "repeated": lambda: torch.ones(HUGE).repeat(HUGE),
    "resized": lambda: torch.empty(1).resize_(HUGE, HUGE),
    "copied": lambda: torch.ones(1).expand(HUGE, HUGE).clone(),
    "from the meta device": lambda: torch.zeros_like(torch.empty(HUGE, HUGE, device="meta"), device="cpu"),
    "of NumPy": lambda: torch.from_numpy(np.ones((HUGE, HUGE))),
}


@pytest.mark.parametrize("kind", LARGE)
def test_no_operation_allocates_what_does_not_fit(kind: str) -> None:
    with pytest.raises(InputError, match="^it needs more memory than|a tensor of it needs at least"):  # noqa: SIM117
        with size_checked("it", nn.Identity):
            LARGE[kind]()


def test_replaced_and_expanded_tensors_count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("synthetic_training.memory", "synthetic_training.models.size_limit"):
        monkeypatch.setattr(f"{place}.total_memory", lambda _: 10 * 2**20)
    with size_checked("it", nn.Identity):
        model = nn.Linear(512, 512)
        for _ in range(20):
            model.weight = nn.Parameter(torch.zeros(512, 512))
        model.register_buffer("mask", torch.ones(1).expand(10**6, 10**6))


def test_a_figure_names_the_run_whose_model_cannot_be_built(tmp_path: Path) -> None:
    run = {"model": f"{HERE}:Plain", "model_args": {"width": "abc"}}
    settings = {**SETTINGS, "model_args": {}}
    file = a_figure(tmp_path / "f.yaml", settings=settings, runs={"mine": run}, tests=[])
    with pytest.raises(InputError, match=r"f.yaml: run mine: .*:Plain cannot be built with width=abc"):
        reproduce(str(file), out=tmp_path / "out", dry_run=True)

"""MQAR's examples, drawn by NumPy and by PyTorch, compared with enumeration; and their batches."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_builders import InputError
from dataset_builders.mqar import Mqar
from dataset_builders.string_tasks.sampling import NumpyRandomIntegers
from synthetic_training.data.mqar import batches as mqar_batches
from synthetic_training.data.mqar.batches import MqarBatches, MqarSampler
from synthetic_training.data.strings.device_sampling import EVALUATE, TRAIN
from synthetic_training.data.strings.packing import IGNORED, Packed
from tests.packed_rows import same
from tests.string_examples import chi_square, chi_square_bound

Example = tuple[list[int], list[int], list[int]]
"""Tokens, positions of the queries, and answers."""


def _by_numpy(task: Mqar, count: int) -> Iterator[Example]:
    drawn = task.draw(NumpyRandomIntegers(np.random.Philox(key=7), count))
    yield from zip(drawn.tokens.tolist(), drawn.queries.tolist(), drawn.answers.tolist(), strict=True)


def _on_device(task: Mqar, count: int) -> Iterator[Example]:
    drawn = MqarSampler(task, EVALUATE, 7, "cpu").sample(torch.arange(count), 0)
    yield from zip(drawn.tokens.tolist(), drawn.queries.tolist(), drawn.answers.tolist(), strict=True)


DRAWS = {"numpy": _by_numpy, "device": _on_device}
draws = pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
Draw = Callable[[Mqar, int], Iterator[Example]]


@st.composite
def tasks(draw_from: st.DrawFn) -> Mqar:
    pairs = draw_from(st.integers(1, 9))
    return Mqar(
        length=4 * pairs + draw_from(st.integers(0, 9)),
        pairs=pairs,
        vocabulary=2 * pairs + 2 + draw_from(st.integers(0, 9)),
        power_a=draw_from(st.sampled_from([0.01, 0.5, 1.0, 2.0])),
        random_non_queries=draw_from(st.booleans()),
    )


@draws
@given(task=tasks())
@settings(max_examples=30, deadline=None)
def test_every_key_is_asked_for_once(draw: Draw, task: Mqar) -> None:
    half, context = task.vocabulary // 2, 2 * task.pairs
    for tokens, queries, answers in draw(task, 20):
        keys, values = tokens[:context:2], tokens[1:context:2]
        assert len(set(keys)) == len(set(values)) == task.pairs and len(tokens) == task.length
        assert all(1 <= key < half for key in keys) and all(half <= v < task.vocabulary for v in values)
        assert answers == values and [tokens[place] for place in queries] == keys
        assert all(place >= context and place % 2 == 0 for place in queries)
        others = {token for i, token in enumerate(tokens) if i >= context and i not in queries}
        assert all(0 <= token < task.vocabulary for token in others)
        assert task.random_non_queries or others <= {0}


@draws
@pytest.mark.parametrize("power_a", [0.01, 1.0])
def test_distances_are_drawn_one_after_the_other_without_replacement(draw: Draw, power_a: float) -> None:
    """The joint distribution for two pairs, compared with enumeration."""
    task, count = Mqar(16, 2, 12, power_a), 6000
    weights = [i ** (power_a - 1) for i in range(1, 7)]
    total = sum(weights)
    expected = {
        (a, b): count * weights[a] / total * weights[b] / (total - weights[a])
        for a, b in permutations(range(6), 2)
    }
    found = Counter((a // 2 - 2, b // 2 - 2) for _, (a, b), _ in draw(task, count))
    assert chi_square(found, expected) < chi_square_bound(len(expected))


@draws
def test_keys_and_values_are_uniform_without_replacement(draw: Draw) -> None:
    task, count = Mqar(12, 3, 8), 4000
    pairs = list(draw(task, count))
    for first, numbers in ((0, range(1, 4)), (1, range(4, 8))):
        orders = list(permutations(numbers, 3))
        found = Counter(tuple(tokens[first:6:2]) for tokens, _, _ in pairs)
        assert chi_square(found, dict.fromkeys(orders, count / len(orders))) < chi_square_bound(len(orders))


@draws
def test_other_tokens_are_uniform(draw: Draw) -> None:
    task = Mqar(40, 2, 10)
    found = Counter(
        token
        for tokens, queries, _ in draw(task, 300)
        for place, token in enumerate(tokens)
        if place >= 4 and place not in queries
    )
    expected = dict.fromkeys(range(10), 300 * 34 / 10)
    assert chi_square(found, expected) < chi_square_bound(10)


def test_targets_are_the_values_at_the_queries_alone() -> None:
    packed = MqarBatches(Mqar(32, 4, 40), 6, seed=1).batch(3)
    assert packed.predicted is not None and int(packed.examples) == 6
    for tokens, targets, places in zip(packed.input_ids, packed.targets, packed.predicted, strict=True):
        value_of = dict(zip(tokens[:8:2].tolist(), tokens[1:8:2].tolist(), strict=True))
        assert {place: int(targets[place]) for place in range(32) if targets[place] != IGNORED} == {
            place: value_of[int(tokens[place])] for place in places.tolist()
        }


def test_a_batch_depends_on_its_step_and_rows_alone() -> None:
    task = Mqar(16, 2, 12)
    batches = MqarBatches(task, 6, seed=1)
    whole, part = batches.batch(torch.tensor(5)), MqarBatches(task, 6, seed=1).batch(5, 2, 3)
    assert same(part, Packed(*(getattr(whole, f.name)[2:5] for f in fields(Packed)[:3]),
                              examples=torch.tensor(3), predicted=whole.predicted[2:5]))  # fmt: skip
    others = [batches.batch(6), MqarBatches(task, 6, seed=2).batch(5)]
    others.append(MqarBatches(replace(task, power_a=1.0), 6, seed=1).batch(5))
    assert not any(torch.equal(whole.input_ids, other.input_ids) for other in others)


def test_a_batch_has_at_least_one_row() -> None:
    assert len(MqarBatches(Mqar(16, 2, 12), 1, seed=1).batch(0).input_ids) == 1
    with pytest.raises(InputError, match="rows must be an integer of at least 1, not 0"):
        MqarBatches(Mqar(16, 2, 12), 0, seed=1)


def test_a_fixed_training_set_is_repeated_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    task = Mqar(16, 2, 100)
    batches = MqarBatches(task, 4, seed=1, fixed_examples=6)
    rows = torch.cat([batches.batch(torch.tensor(step)).input_ids for step in range(6)])
    assert torch.equal(rows, rows[:6].repeat(4, 1)) and len(rows[:6].unique(dim=0)) == 6
    assert torch.equal(batches.batch(1, 1, 2).input_ids, rows[5:7])
    # a set that is too large to be stored is drawn again in each step
    monkeypatch.setattr(mqar_batches, "_MOST_STORED_TOKENS", 6 * 16 - 1)
    drawn = MqarBatches(task, 4, seed=1, fixed_examples=6)
    for step in range(3):
        assert same(drawn.batch(step), batches.batch(step))
    fresh = MqarBatches(task, 4, seed=1)
    assert len(torch.cat([fresh.batch(step).input_ids for step in range(6)]).unique(dim=0)) == 24


def test_evaluation_has_other_examples_than_training() -> None:
    samples = [
        MqarSampler(Mqar(16, 2, 100), s, 0, "cpu").sample(torch.arange(9), 0) for s in (TRAIN, EVALUATE)
    ]
    assert not (samples[0].tokens == samples[1].tokens).all(1).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pairs": 5}, "5 pairs and their queries need a length of at least 20 tokens, not 16"),
        ({"vocabulary": 9}, "4 pairs need a vocabulary of at least 10 tokens, not 9"),
        ({"pairs": 0}, "pairs must be"),
        ({"power_a": 0}, "power_a must be a number above 0, not 0"),
        ({"power_a": True}, "power_a must be a number above 0, not True"),
        ({"random_non_queries": 1}, "random_non_queries must be true or false, not 1"),
    ],
)
def test_invalid_arguments(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Mqar(**{"length": 16, "pairs": 4, **arguments})


@pytest.mark.gpu
@pytest.mark.parametrize("fixed_examples", [None, 20])
def test_batches_in_a_cuda_graph_are_the_same(fixed_examples: int | None) -> None:
    task = Mqar(256, 16)
    plain, made = (MqarBatches(task, 8, 3, device, fixed_examples) for device in ("cpu", "cuda"))
    compiled = made.compile()
    step = torch.zeros((), dtype=torch.int64, device="cuda")
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        compiled(step)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        packed = compiled(step)
        step += 1
    for number in range(4):
        graph.replay()
        assert same(plain.batch(number), packed)

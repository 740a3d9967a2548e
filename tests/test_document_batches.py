"""Batches of rows of documents are the same in any slice, compiled and on a GPU; and errors."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dataset_builders import InputError
from synthetic_training.data.documents.byte_tokenizer import END_ID
from synthetic_training.data.documents.mix import DocumentBatches
from synthetic_training.data.documents.rows import PREDICTED, TOKEN, Mix, make_rows
from tests.packed_rows import same


@pytest.fixture(scope="module")
def made() -> DocumentBatches:
    return DocumentBatches(Mix(context_length=400, seed=2**40 + 1), 4, pool_rows=24)


def test_a_batch_is_rows_of_the_pool_with_targets_and_positions(made: DocumentBatches) -> None:
    packed = made.batch(7)
    pool = make_rows(made.mix, 24)
    chosen = made.order(1)[4:8].tolist()
    assert packed.examples == pool.whole[chosen].sum()
    for codes, ids, targets, positions in zip(
        pool.codes[chosen], packed.input_ids, packed.targets, packed.position_ids, strict=True
    ):
        tokens = (codes & TOKEN).tolist()
        assert ids.tolist() == tokens
        after = [t if c & PREDICTED else -100 for t, c in zip(tokens, codes.tolist(), strict=True)][1:]
        assert targets.tolist() == [*after, -100]
        expected: list[int] = []
        for before, _ in zip([END_ID, *tokens], tokens, strict=False):
            expected.append(0 if before == END_ID else expected[-1] + 1)
        assert positions.tolist() == expected


def test_each_epoch_takes_every_row_once_in_an_order_of_its_own(made: DocumentBatches) -> None:
    orders = [made.order(epoch).tolist() for epoch in range(4)]
    assert all(sorted(order) == list(range(24)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4
    rows = [ids for step in range(6) for ids in made.batch(step).input_ids.tolist()]
    pool = (make_rows(made.mix, 24).codes & TOKEN).tolist()
    assert sorted(rows) == sorted(pool)


def test_a_step_does_not_depend_on_those_before(made: DocumentBatches) -> None:
    other = DocumentBatches(Mix(context_length=400, seed=2**40 + 1), 4, pool_rows=24)
    for step in range(9):
        other.batch(step)
    torch.manual_seed(1)
    assert same(made.batch(9), other.batch(9))
    assert not same(made.batch(9), DocumentBatches(Mix(context_length=400, seed=1), 4, pool_rows=24).batch(9))


@given(cuts=st.sets(st.integers(1, 3)), step=st.integers(0, 2**32 - 1))
def test_slices_make_the_whole_batch(cuts: set[int], step: int, made: DocumentBatches) -> None:
    whole = made.batch(step)
    parts = [made.batch(torch.tensor(step), a, b - a) for a, b in pairwise([0, *sorted(cuts), 4])]
    assert torch.equal(torch.cat([part.input_ids for part in parts]), whole.input_ids)
    assert torch.equal(torch.cat([part.targets for part in parts]), whole.targets)
    assert torch.equal(torch.cat([part.position_ids for part in parts]), whole.position_ids)
    assert sum(part.examples for part in parts) == whole.examples


def check_compiled(made: DocumentBatches, backend: str, device: str = "cpu") -> None:
    on_device = DocumentBatches(made.mix, 4, device, pool_rows=24)
    torch.compiler.reset()
    compiled: Any = torch.compile(on_device.batch, fullgraph=True, backend=backend)
    for step in (0, 7, 2**31 + 5):
        packed = compiled(torch.tensor(step, device=device), 1, 3)
        assert same(made.batch(step, 1, 3), packed)


def test_compiled_batches_are_the_same(made: DocumentBatches) -> None:
    check_compiled(made, "aot_eager")


@pytest.mark.slow
def test_batches_compiled_by_inductor_are_the_same(made: DocumentBatches) -> None:
    check_compiled(made, "inductor")


@pytest.mark.gpu
def test_batches_on_a_gpu_and_in_a_cuda_graph_are_the_same(made: DocumentBatches) -> None:
    check_compiled(made, "inductor", "cuda")
    on_device = DocumentBatches(made.mix, 4, "cuda", pool_rows=24)
    step = torch.zeros((), dtype=torch.int64, device="cuda")
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        on_device.batch(step)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        packed = on_device.batch(step)
        step += 1
    for expected in range(8):
        graph.replay()
        assert same(made.batch(expected), packed)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"pool_rows": 26}, "pool_rows = 26 must be a multiple of batch_size = 4, such as 28"),
        ({"pool_rows": 0}, "pool_rows must be an integer of at least 1"),
        ({"seed": 2**64}, "seed must be at most"),
        ({"batch_size": 0}, "batch_size must be an integer of at least 1"),
    ],
)
def test_batches_that_cannot_be_are_refused(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        mix = Mix(context_length=400, seed=arguments.pop("seed", 0))
        DocumentBatches(mix, **{"batch_size": 4, "pool_rows": 24, **arguments})


def test_rows_and_steps_that_a_batch_does_not_have_are_refused(made: DocumentBatches) -> None:
    for first, rows in ((0, 5), (4, None), (-1, 2), (3, 0)):
        with pytest.raises(InputError, match="a batch has rows 0 to 3, so"):
            made.batch(0, first, rows)
    with pytest.raises(InputError, match="step must be an integer of at least 0, not -1"):
        made.batch(-1)

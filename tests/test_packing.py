"""Packed training batches, read by a plain parser; the same in slices, compiled, and on a GPU."""

import re
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_builders import InputError
from dataset_builders.string_tasks import Copy, PrefixNgram, Reverse, StringTask, SuffixNgram, string_task
from dataset_builders.string_tasks.sampling import longest_example
from synthetic_training.data.strings import PackedBatches
from synthetic_training.data.symbol_tokenizer import decode, encode
from tests.packed_rows import same
from tests.string_examples import NAMES, TASKS, check_example, few_tasks


def check_row(task: StringTask, text: str, targets: list[int], positions: list[int]) -> int:
    """The number of whole examples in a row, after checking each."""
    assert "*" not in text and text[0] == "$"
    examples = ["$" + example for example in text[1:].split("$")]
    expected: list[int] = []
    whole = 0
    for example in examples:
        if example.endswith("."):
            whole += 1
            answer = encode(check_example(task, example)[1] + ".")
            expected += [-100] * (len(example) - len(answer) - 1) + answer + [-100]
        else:
            assert example is examples[-1]
            assert re.fullmatch(r"\$[a-z]*(\|[a-z]*){0,2}", example)
            expected += [-100] * len(example)
    assert targets == expected
    assert positions == [place for example in examples for place in range(len(example))]
    return whole


@st.composite
def batches(draw: st.DrawFn, kind: type[StringTask]) -> PackedBatches:
    # few tasks, since what is measured for each before its first batch takes longer than the batch
    task = draw(st.sampled_from(few_tasks(kind)))
    context = longest_example(task) + draw(st.integers(0, 60))
    return PackedBatches(task, context, draw(st.integers(1, 4)), draw(st.integers(0, 2**64 - 1)))


each = pytest.mark.parametrize("kind", TASKS, ids=NAMES)


def test_a_row_that_its_examples_do_not_fill_ends_with_padding(monkeypatch: pytest.MonkeyPatch) -> None:
    task = Copy(3, 3)
    full = PackedBatches(task, 20, 2, 0).batch(0)
    monkeypatch.setattr("synthetic_training.data.strings.packing.examples_to_fill", lambda *_: 1)
    packed = PackedBatches(task, 20, 2, 0).batch(0)
    assert [decode(row) for row in packed.input_ids] == [decode(row[:9]) + "*" * 11 for row in full.input_ids]
    assert packed.targets[:, :9].equal(full.targets[:, :9]) and (packed.targets[:, 9:] == -100).all()
    assert packed.examples == 2


@each
@settings(deadline=None, max_examples=40)
@given(data=st.data(), step=st.integers(0, 2**32 - 1))
def test_every_row_reads_as_documented(kind: type[StringTask], data: st.DataObject, step: int) -> None:
    made = data.draw(batches(kind))
    packed = made.batch(step)
    assert packed.input_ids.shape == packed.targets.shape == packed.position_ids.shape
    assert packed.input_ids.shape == (made.rows, made.context)
    columns = (packed.input_ids, packed.targets.tolist(), packed.position_ids.tolist())
    whole = [check_row(made.task, decode(ids), *rest) for ids, *rest in zip(*columns, strict=True)]
    assert min(whole) >= 1
    assert packed.examples.item() == sum(whole)


@pytest.mark.parametrize(
    ("task", "context"),
    [
        (Copy(1, 1, 1), 5),
        (Copy(1, 1), 5),
        (Copy(1, 50, k=1), 700),
        (Copy(300, 300), 603),
        (Reverse(1, 40), 300),
        (PrefixNgram(16, 40, n=13), 2048),
        (SuffixNgram(65, 70, 2, n=62), 1000),
        (SuffixNgram(6, 6), 15),
        (PrefixNgram(4, 4, 2, n=1), 12),
        (PrefixNgram(6, 300), 2048),
    ],
    ids=lambda value: f"{value.name}-{value.max_length}" if isinstance(value, StringTask) else None,
)
def test_rows_at_the_edges(task: StringTask, context: int) -> None:
    packed = PackedBatches(task, context, 6, 1).batch(0)
    columns = (packed.input_ids, packed.targets.tolist(), packed.position_ids.tolist())
    whole = [check_row(task, decode(ids), *rest) for ids, *rest in zip(*columns, strict=True)]
    assert packed.examples.item() == sum(whole)


def test_an_example_that_just_fits_is_trained_on() -> None:
    packed = PackedBatches(Copy(10, 10), 46, 3, 0).batch(0)
    for ids, targets in zip(packed.input_ids, packed.targets.tolist(), strict=True):
        assert decode(ids)[-1] == "."
        assert targets[22] == targets[-1] == -100
        assert decode(targets[34:45]) == decode(ids[35:46])
    assert packed.examples == 6
    cut = PackedBatches(Copy(10, 10), 45, 3, 0).batch(0)
    assert cut.examples == 3
    assert (cut.targets[:, 22:] == -100).all()


def test_an_example_that_is_cut_is_as_random_as_others() -> None:
    whole = PackedBatches(Copy(40, 40), 166, 8, 0).batch(0)
    cut = PackedBatches(Copy(40, 40), 124, 8, 0).batch(0)
    assert torch.equal(cut.input_ids, whole.input_ids[:, :124])


def test_the_first_batch_is_the_same_in_every_version() -> None:
    made = PackedBatches(SuffixNgram(6, 8), 40, 1, seed=2**40 + 1).batch(3)
    assert decode(made.input_ids[0]) == "$qbkucrbs|bkucrbs.$einjru|einjru.$aaadag"


@settings(deadline=None, max_examples=30)
@given(data=st.data(), kind=st.sampled_from(TASKS), step=st.integers(0, 2**32 - 1))
def test_slices_make_the_whole_batch(data: st.DataObject, kind: type[StringTask], step: int) -> None:
    made = data.draw(batches(kind))
    cuts = sorted({0, made.rows, *data.draw(st.lists(st.integers(0, made.rows), max_size=3))})
    parts = [made.batch(step, a, b - a) for a, b in pairwise(cuts)]
    whole = made.batch(step)
    assert torch.equal(torch.cat([part.input_ids for part in parts]), whole.input_ids)
    assert torch.equal(torch.cat([part.targets for part in parts]), whole.targets)
    assert torch.equal(torch.cat([part.position_ids for part in parts]), whole.position_ids)
    assert sum(part.examples for part in parts) == whole.examples
    assert same(made.batch(torch.tensor(step), cuts[-2]), parts[-1])


@each
def test_batches_of_steps_and_seeds_differ(kind: type[StringTask]) -> None:
    task = kind(20, 20)
    made = [
        PackedBatches(task, 220, 8, seed).batch(step)
        for seed in (0, 1, 2**32)
        for step in (0, 1, 2, 2**32 - 1)
    ]
    rows = [decode(row[1:9]) for packed in made for row in packed.input_ids]
    assert len(set(rows)) == len(made) * 8


def test_a_step_does_not_depend_on_those_before() -> None:
    one, other = (PackedBatches(PrefixNgram(6, 20), 220, 4, 7) for _ in range(2))
    for step in range(3):
        one.batch(step)
    state = torch.get_rng_state()
    torch.manual_seed(1)
    assert same(one.batch(3), other.batch(3))
    torch.set_rng_state(state)


def check_compiled(kind: type[StringTask], backend: str, device: str = "cpu") -> None:
    made = PackedBatches(kind(6, 20), 220, 8, 3, device)
    plain = PackedBatches(kind(6, 20), 220, 8, 3)
    torch.compiler.reset()
    compiled: Any = torch.compile(made.batch, fullgraph=True, backend=backend)
    for step in (0, 7, 2**31 + 5):
        assert same(plain.batch(step, 2, 3), compiled(torch.tensor(step, device=device), 2, 3))


def test_compiled_batches_are_the_same() -> None:
    check_compiled(SuffixNgram, "aot_eager")


@pytest.mark.slow
@each
def test_batches_compiled_by_inductor_are_the_same(kind: type[StringTask]) -> None:
    check_compiled(kind, "inductor")


@pytest.mark.gpu
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
@each
def test_batches_compiled_for_a_gpu_are_the_same(kind: type[StringTask], backend: str) -> None:
    check_compiled(kind, backend, "cuda")


@pytest.mark.gpu
@pytest.mark.parametrize("context", [220, 2048])
@each
def test_batches_in_a_cuda_graph_are_the_same(kind: type[StringTask], context: int) -> None:
    task = kind(6, 20 if context == 220 else 300)
    plain = PackedBatches(task, context, 16, 3)
    made = PackedBatches(task, context, 16, 3, "cuda")
    step = torch.zeros((), dtype=torch.int64, device="cuda")
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        made.batch(step)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        packed = made.batch(step)
        step += 1
    for expected in range(3):
        graph.replay()
        assert same(plain.batch(expected), packed)


# ---- refusals


@pytest.mark.parametrize(
    ("arguments", "context", "said"),
    [
        (("copy", 5, 20), 42, "context_length = 42 is too short: .* letters has 43 tokens"),
        (("copy", 5, 20, 26, {"k": 4}), 26, "= 26 is .* has 27 tokens"),
        (("reverse", 5, 20), 42, "= 42 is .* has 43 tokens"),
        (("prefix_ngram", 6, 20), 43, "= 43 is .* of up to 20 letters has 44 tokens"),
        (("suffix_ngram", 6, 20), 42, "= 42 is .* has 43 tokens"),
        (("suffix_ngram", 8, 20, 26, {"k": 2}), 27, "= 27 is .* has 28 tokens"),
        (("duplicate_ngram", 6, 20), 42, "= 42 is .* has 43 tokens"),
        (("copy", 5, 20), 0, "context must be an integer of at least 1, not 0"),
    ],
)
def test_a_context_that_does_not_do_is_refused(arguments: tuple[Any, ...], context: int, said: str) -> None:
    with pytest.raises(InputError, match=said):
        PackedBatches(string_task(*arguments), context, 1, 0)
    if "too short" in said:
        PackedBatches(string_task(*arguments), context + 1, 1, 0).batch(0)


@pytest.mark.parametrize(
    ("rows", "seed", "said"), [(0, 0, "rows must be"), (1, -1, "seed must"), (1, 2**64, "seed")]
)
def test_rows_and_seeds_that_cannot_be_are_refused(rows: int, seed: int, said: str) -> None:
    with pytest.raises(InputError, match=said):
        PackedBatches(Copy(5, 20), 220, rows, seed)


@pytest.mark.parametrize(("first", "rows"), [(0, 9), (8, None), (-1, 2), (7, 2), (3, 0)])
def test_rows_that_a_batch_does_not_have_are_refused(first: int, rows: int | None) -> None:
    with pytest.raises(InputError, match="a batch has rows 0 to 7, so"):
        PackedBatches(Copy(5, 20), 220, 8, 0).batch(0, first, rows)


def test_a_step_that_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match="step must be an integer of at least 0, not -1"):
        PackedBatches(Copy(5, 20), 220, 8, 0).batch(-1)

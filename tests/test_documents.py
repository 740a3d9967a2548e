"""Documents of bytes: read back by plain parsers, in rows and in batches."""

import re
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from dataset_builders import InputError, phone_book
from dataset_builders.c4_copy import first_word
from dataset_builders.string_tasks import documents as string_documents
from synthetic_training.data.documents.byte_tokenizer import END_ID, VOCAB_SIZE, byte_tokenizer
from synthetic_training.data.documents.kinds import KINDS, document
from synthetic_training.data.documents.mix import DocumentBatches
from synthetic_training.data.documents.rows import FIRST, PREDICTED, TOKEN, Mix, make_rows, row
from synthetic_training.data.strings import Packed

INDICES = st.integers(0, 2**40)


def text_of(pieces: list[tuple[str, bool]]) -> str:
    return "".join(text for text, _ in pieces)


@st.composite
def documents(draw: st.DrawFn, kind: str) -> list[tuple[str, bool]]:
    size = draw(st.integers(KINDS[kind].least_bytes, 5000))
    pieces = document(kind, draw(st.integers(0, 2**32)), draw(INDICES), size)
    assert 0 < len(text_of(pieces).encode()) <= size
    assert all(text for text, _ in pieces)
    return pieces


# ---- the tokenizer


@given(st.text())
def test_any_text_comes_back_from_the_tokenizer(text: str) -> None:
    tokenizer = byte_tokenizer(4096)
    ids = tokenizer(text)["input_ids"]
    assert ids == list(text.encode())
    assert tokenizer.decode(ids) == tokenizer.decode([*ids, END_ID], skip_special_tokens=True) == text


def test_a_saved_tokenizer_is_the_same_and_pads_on_the_left(tmp_path: Path) -> None:
    byte_tokenizer(4096).save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    every = bytes(range(128)).decode() + "".join(map(chr, range(128, 0x3000)))
    assert tokenizer(every)["input_ids"] == list(every.encode())
    assert tokenizer.decode(tokenizer(every)["input_ids"]) == every
    assert len(tokenizer) == VOCAB_SIZE and tokenizer.model_max_length == 4096
    assert {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id} == {END_ID}
    assert tokenizer(["a", "bcd"], padding=True)["input_ids"] == [[END_ID, END_ID, 97], [98, 99, 100]]
    assert tokenizer.tokenize("a b") and tokenizer.convert_tokens_to_ids("<|endoftext|>") == END_ID


# ---- the documents


def as_benchmark(text: str) -> str:
    """A document of two examples as the benchmark has it, after a look at each number that is asked."""
    book, examples, query = text.split("\n\n")
    entries = dict(line.split(": ") for line in book.split("\n"))
    assert len(entries) == len(book.split("\n")) >= 3
    assert all(re.fullmatch(r"[A-Z][a-z]+ [A-Z][a-z]+", name) for name in entries)
    assert all(re.fullmatch(r"[6-9][0-9]{9}", digits) for digits in entries.values())
    asked = [*examples.split("\n"), query[:-1]]
    assert query.endswith("\n") and len(set(asked)) == len(asked) >= 3
    assert all(entries[line.split(": ")[0]] == line.split(": ")[1] for line in asked)
    return "\n\n".join([book, examples, query.split(": ")[0] + ":"])


@settings(deadline=None)
@given(documents("phone_book"))
def test_a_phone_book_is_in_the_benchmarks_form(pieces: list[tuple[str, bool]]) -> None:
    prompt = as_benchmark(text_of(pieces))
    assert prompt == text_of(pieces[:-1])
    for (name, is_asked), (digits, digits_asked) in zip(pieces[1::2], pieces[2::2], strict=True):
        assert not is_asked and digits_asked
        assert name.lstrip("\n").endswith(":") and re.fullmatch(r" [0-9]{10}\n", digits)
    assert not pieces[0][1] and pieces[0][0].endswith("\n\n")


def test_two_examples_as_in_the_benchmark_are_frequent_and_more_occur() -> None:
    counts = [len(document("phone_book", 0, i, 2000)) // 2 - 1 for i in range(300)]
    assert min(counts) == 2 and max(counts) > 8
    assert 100 < counts.count(2) < 200


@settings(deadline=None)
@given(st.data(), st.sampled_from(["copy_random", "copy_prose"]))
def test_a_copy_asks_for_its_source(data: st.DataObject, kind: str) -> None:
    pieces = data.draw(documents(kind))
    (source, a), (again, b), (cue, c), (rest, d) = pieces
    assert (a, b, c, d) == (False, True, False, True)
    text = source.removesuffix("\n\n")
    assert source == again == f"{text}\n\n" and text == text.strip() and "\n" not in text and text
    assert cue + rest == source and cue == first_word(text)


@settings(deadline=None)
@given(documents("lookup"))
def test_a_lookup_asks_for_values_of_the_list(pieces: list[tuple[str, bool]]) -> None:
    listed, queries = text_of(pieces).split("\n\n")
    lines = queries.removesuffix("\n").split("\n")
    assert queries.endswith("\n") and len(set(lines)) == len(lines) >= 1
    for line in lines:
        assert re.search(rf"(^|\n|; |, ){re.escape(line)}($|\n|; |, )", listed), (line, listed)
    asked = [text for text, is_asked in pieces if is_asked]
    assert len(asked) == len(lines)
    assert all(f"{line}\n".endswith(value) for line, value in zip(lines, asked, strict=True))


@settings(deadline=None)
@given(documents("strings"))
def test_string_tasks_are_spelled_as_the_benchmarks_and_their_answers_are_right(
    pieces: list[tuple[str, bool]],
) -> None:
    assert len(pieces) >= 6
    for (question, is_asked), (answer, answer_asked) in zip(pieces[::2], pieces[1::2], strict=True):
        assert not is_asked and answer_asked
        assert question.endswith(" ->") and answer.startswith(" ") and answer.endswith("\n")
        parts = question.removesuffix(" ->").split(" | ")
        spaced = " " in max(parts, key=len)
        fields_ = [part.replace(" ", "") if spaced else part for part in parts]
        assert parts == [" ".join(field) if spaced else field for field in fields_]
        right = max(fields_, key=len)
        if len(fields_) == 2:
            key = min(fields_, key=len)
            assert len(key) == 3 and right.count(key) == 1
            right = right[right.index(key) + 3 :]
            assert right
        assert answer == f" {' '.join(right) if spaced else right}\n"


@pytest.mark.parametrize("kind", KINDS)
def test_a_document_depends_on_nothing_but_what_it_is_asked_for(kind: str) -> None:
    one = [document(kind, 3, i, 700) for i in range(20)]
    other = [document(kind, 3, i, 700) for i in reversed(range(20))]
    assert one == other[::-1]
    texts = {text_of(document(kind, seed, i, 700)) for seed in (3, 4) for i in range(20)}
    assert len(texts) == 40


def test_no_document_is_a_benchmarks() -> None:
    books = [text_of(document("phone_book", 0, i, 600)) for i in range(300)]
    trained = {line for book in books for line in book.split("\n") if ": " in line}
    rows = [one for entries in (10, 20) for one in phone_book.rows(entries, 300)]
    theirs = {line for one in rows for line in one["prompt"].split("\n") if ": " in line}
    assert len(trained) > 3000 and len(theirs) > 3000 and not trained & theirs
    lines = {text for i in range(300) for text, _ in document("strings", 0, i, 400)}
    shown = [
        line
        for task in ("copy", "prefix_ngram")
        for length in (10, 20, 50)
        for spelling in ("plain", "spaced")
        for one in string_documents.rows(task, length, 50, 0, spelling)
        for line in one["prompt"].split("\n")
    ]
    assert not lines & set(shown)


# ---- rows


def documents_of(codes: np.ndarray) -> list[str]:
    """The texts between the separators of a row, the last one as it is cut."""
    tokens = codes & TOKEN
    ends = [-1, *np.flatnonzero(tokens == END_ID).tolist(), len(tokens)]
    parts = [bytes(tokens[a + 1 : b].astype(np.uint8)) for a, b in pairwise(ends)]
    return [part.decode(errors="ignore") for part in parts if part]


def test_a_row_holds_documents_one_after_the_other_and_asks_for_what_they_ask() -> None:
    mix = Mix({"phone_book": 1}, context_length=1000, context_loss_weight=0.0)
    for number in range(30):
        codes, whole = row(mix, number)
        assert codes.shape == (1000,)
        texts = documents_of(codes)
        ended = [text for text in texts if text.count("\n\n") == 2 and text.endswith("\n")]
        assert whole == len(ended) >= len(texts) - 1
        for text in ended:
            as_benchmark(text)
        asked = (codes & PREDICTED) > 0
        expected = np.zeros(1000, dtype=bool)
        at = 0
        for text in texts:
            listed = text.find("\n\n")
            for match in re.finditer(r"(?<=:)( \d{0,10}\n?)", text):
                if listed != -1 and match.start() > listed:
                    expected[at + match.start() : at + match.end()] = True
            at += len(text) + 1
        assert asked.tolist() == expected.tolist()
        first = np.flatnonzero(codes & FIRST).tolist()
        assert first == [0, *(np.flatnonzero((codes & TOKEN) == END_ID) + 1).tolist()][: len(first)]
        assert len(first) == len(texts)


def test_a_row_depends_on_its_number_alone_however_many_processes_there_are() -> None:
    mix = Mix({"phone_book": 1, "copy_random": 2}, context_length=256, seed=5)
    many = make_rows(mix, 600)
    few = make_rows(mix, 3)
    assert np.array_equal(few.codes, many.codes[:3]) and np.array_equal(few.whole, many.whole[:3])
    assert np.array_equal(row(mix, 599)[0], many.codes[599])
    assert len({codes.tobytes() for codes in many.codes}) == 600
    assert not np.array_equal(row(Mix(mix.weights, 256, 6), 0)[0], few.codes[0])


def test_the_order_of_the_weights_and_their_unit_change_nothing() -> None:
    one, other = (
        Mix({"strings": 1, "lookup": 3}, 500),
        Mix({"lookup": 0.75, "phone_book": 0, "strings": 0.25}, 500),
    )
    assert all(np.array_equal(row(one, i)[0], row(other, i)[0]) for i in range(10))
    alike = dict.fromkeys(KINDS, 2.0)
    assert np.array_equal(row(Mix({}, 500), 1)[0], row(Mix(alike, 500), 1)[0])


def test_long_phone_books_occur_whole() -> None:
    mix = Mix({"phone_book": 1})
    books = [text for number in range(60) for text in documents_of(row(mix, number)[0])]
    sizes = [text.split("\n\n")[0].count("\n") + 1 for text in books if text.count("\n\n") == 2]
    assert sum(size >= 100 for size in sizes) >= 10
    assert sum(size <= 10 for size in sizes) >= 10
    assert max(sizes) >= 120


@pytest.mark.parametrize("weight", [0.0, 0.05, 0.5, 1.0])
def test_of_what_is_not_asked_the_share_rest_is_predicted(weight: float) -> None:
    weights = {"copy_prose": 1.0}
    asked = (
        np.stack([row(Mix(weights, 2000, context_loss_weight=0.0), i)[0] for i in range(10)]) & PREDICTED > 0
    )
    predicted = (
        np.stack([row(Mix(weights, 2000, context_loss_weight=weight), i)[0] for i in range(10)]) & PREDICTED
        > 0
    )
    assert predicted[asked].all()
    assert predicted[~asked].mean() == pytest.approx(weight, abs=0.02 if 0 < weight < 1 else 0)


# ---- batches


def same(one: Packed, other: Packed) -> bool:
    return all(torch.equal(getattr(one, f.name), getattr(other, f.name)) for f in fields(Packed))


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
        moved = Packed(*(getattr(packed, f.name).cpu() for f in fields(Packed)))
        assert same(made.batch(step, 1, 3), moved)


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
        assert same(made.batch(expected), Packed(*(getattr(packed, f.name).cpu() for f in fields(Packed))))


# ---- refusals


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"weights": {"phonebook": 1}}, "unknown kind 'phonebook'; did you mean 'phone_book'"),
        ({"weights": {"lookup": 0, "strings": 0.0}}, "all weights of the mix are 0"),
        ({"weights": {"lookup": -1}}, "the weight of lookup in the mix must be at least 0, not -1"),
        ({"weights": {"lookup": float("nan")}}, "must be at least 0, not nan"),
        ({"weights": {"lookup": float("inf")}}, "must be at least 0, not inf"),
        (
            {"context_length": 100},
            "context_length = 100 is too short: documents of the kind phone_book need 230 tokens",
        ),
        ({"weights": {"copy_prose": 1}, "context_length": 29}, "of the kind copy_prose need 30"),
        ({"context_loss_weight": 1.1}, "context_loss_weight must be from 0 to 1, not 1.1"),
        ({"seed": -1}, "seed must be an integer of at least 0"),
    ],
)
def test_mixes_that_cannot_be_are_refused(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=re.escape(sentence)):
        Mix(**arguments)


def test_the_shortest_context_of_each_kind_does() -> None:
    for kind, of_kind in KINDS.items():
        for number in range(20):
            assert row(Mix({kind: 1}, of_kind.least_bytes), number)[1] >= 1


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

"""Training documents of each kind, read back by plain parsers."""

import re
from string import ascii_letters

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_builders import phone_book
from dataset_builders.c4_copy import first_word
from dataset_builders.string_tasks import documents as string_documents
from synthetic_training.data.documents.kinds import KINDS, document
from tests.document_texts import as_benchmark, text_of

INDICES = st.integers(0, 2**40)


@st.composite
def documents(draw: st.DrawFn, kind: str) -> list[tuple[str, bool]]:
    size = draw(st.integers(KINDS[kind].least_bytes, 5000))
    pieces = document(kind, draw(st.integers(0, 2**32)), draw(INDICES), size)
    assert 0 < len(text_of(pieces).encode()) <= size
    assert all(text for text, _ in pieces)
    return pieces


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


def test_keys_and_values_have_at_most_16_bytes_of_many_alphabets() -> None:
    of_lookups = [text for i in range(300) for text, _ in document("lookup", 0, i, 1000)[1:]]
    keys = [re.sub(r"( is|[ :=,|\t>-]+)$", "", text) for text in of_lookups[::2]]
    assert max(len(key.encode()) for key in keys) == 16
    assert set(f"{ascii_letters}0123456789!@#$%&*") <= set("".join(keys))
    assert max(len(text.strip().encode()) for text in of_lookups[1::2]) == 16


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

"""Copies of running text: documents, sources and tokenizers, and scores in lm-eval."""

import unicodedata
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from dataset_builders import InputError
from dataset_builders.c4_copy import first_word, rows
from dataset_builders.checksum import content_sha256
from dataset_builders.sources.texts import read_texts
from dataset_builders.sources.tokenizer import load_tokenizer
from lm_eval_tasks.answers import running_text
from tests.evaluation import evaluate, scores
from tests.material import neox_tokenizer, prose
from tests.models import byte_tokenizer
from tests.scripted import Scripted

HOSTILE = {
    "english": "The cat sat on the mat. The cat sat again, and the mat was flat. " * 5,
    "repeats its first word": "the the the cat the the dog the " * 9,
    "newlines": "a line\nanother\n\n\nand one more\n" * 12,
    "newlines and a word here and there": ("\n" * 9 + "word" + "\n" * 5 + "two three\r\n") * 20,
    "double spaces": "one  two   three    four     five " * 9,
    "no spaces": "abcdefghijklmnopqrstuvwxyz" * 12,
    "chinese": "敏捷的棕色狐狸跳过了懒狗。" * 12,
    "arabic": "الثعلب البني السريع يقفز فوق الكلب الكسول. " * 8,
    "emoji": "👩‍👩‍👧‍👦🏳️‍🌈👍🏽 family 🎉🎊 party 🤷🏽‍♀️ " * 8,
    "combining": "e\u0301 a\u0308 n\u0303 o\u0302 café naïve " * 8,
    "strange white space": "a\u00a0b\u2003c\u2028d\u3000e\rf\tg\x0bh\x0ci " * 8,
    "colons and digits": "x: 1\n\ny: 2\n\n x: 1\n\n" * 12,
}
ORDERS = ("standard", "random")


def copy_by_rule(prompt: str) -> str:
    """The right answer, derived from the prompt alone."""
    text, again, cue = prompt.split("\n\n")
    assert text == again
    assert text.startswith(cue)
    return text[len(cue) :] + "\n\n"


@pytest.fixture(scope="session")
def byte_tokens(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tokenizer.json with one token per byte, so that windows often cut letters that are not ASCII."""
    file = tmp_path_factory.mktemp("bytes") / "tokenizer.json"
    byte_tokenizer().backend_tokenizer.save(str(file))
    return str(file)


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_perfect_copier_scores_one_on_hostile_texts(kind: str, tmp_path: Path, byte_tokens: str) -> None:
    source = tmp_path / "text.txt"
    source.write_text(HOSTILE[kind], encoding="utf-8", newline="")
    for tokenizer in (byte_tokens, str(neox_tokenizer())):
        for task in ("c4_copy_25", "c4_copy_random_50"):
            results = evaluate(
                Scripted(copy_by_rule),
                task,
                f"{task}_forced",
                num_docs=12,
                source=str(source),
                tokenizer=tokenizer,
            )
            perfect = {"exact_match": 1.0, "char_accuracy": 1.0, "copied_fraction": 1.0, "truncated": 0.0}
            assert perfect.items() <= scores(results, task).items()
            assert scores(results, f"{task}_forced")["exact_match"] == 1.0


def test_a_tokenizer_that_composes_letters_does_not_change_scores() -> None:
    """As those of Pythia and Qwen, which read and write "ö" for an "o" with a combining mark."""
    answer = " scho\u0308ne Wo\u0308rter"
    for text in (answer, unicodedata.normalize("NFC", answer)):
        found = running_text({"answer": answer}, [f"{text}\n\n"])
        assert [found[name] for name in ("exact_match", "char_accuracy", "copied_fraction")] == [1.0] * 3
    assert running_text({"answer": answer}, [" schone Worter"])["exact_match"] == 0.0


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=30, max_size=120))
@example(text=" " * 40)
def test_any_text_can_be_copied_or_is_refused(text: str, tmp_path: Path, byte_tokens: str) -> None:
    source = tmp_path / f"{abs(hash(text))}.txt"  # sources are cached by their name
    source.write_text(text, encoding="utf-8", newline="")
    try:
        documents = [row for order in ORDERS for row in rows(20, order, 3, 0, str(source), byte_tokens)]
    except InputError as refusal:
        assert "too little text" in str(refusal)
        return
    for row in documents:
        assert row["answer"].strip()
        assert running_text(row, [copy_by_rule(row["prompt"])])["exact_match"] == 1.0


def test_windows_are_of_the_length_asked_and_the_orders_differ_in_order_alone() -> None:
    tokenizer = load_tokenizer(str(neox_tokenizer()))
    arguments = (4, 0, str(prose()), str(neox_tokenizer()))
    for standard, shuffled in zip(
        rows(300, "standard", *arguments), rows(300, "random", *arguments), strict=True
    ):
        count = len(tokenizer.encode(standard["prompt"].split("\n\n")[0]))
        assert abs(count - 300) <= 6  # its ends may join other tokens once they are cut
        letters = [sorted(row["prompt"].split("\n\n")[0].replace(" ", "")) for row in (standard, shuffled)]
        assert letters[0] == letters[1]
        assert standard["prompt"] != shuffled["prompt"]


def test_a_document_depends_on_its_index_alone() -> None:
    source, tokenizer = str(prose()), str(neox_tokenizer())
    for order in ORDERS:
        few = list(rows(50, order, 3, 1, source, tokenizer))
        assert list(islice(rows(50, order, 40, 1, source, tokenizer), 3)) == few
        assert list(rows(50, order, 3, 2, source, tokenizer)) != few
        assert len({row["prompt"] for row in few}) == 3


@pytest.mark.parametrize(("order", "checksum"), [("standard", "ac3f8a1c0cd1"), ("random", "d0483bc4b185")])
def test_documents_are_the_same_in_every_version(
    order: str, checksum: str, tmp_path: Path, byte_tokens: str
) -> None:
    for number in range(15):
        text = " ".join(f"{number * step} is {number} times {step}.\n" for step in range(3, 20))
        (tmp_path / f"{number:02}.txt").write_text(text)
    made = rows(50, order, 20, 1, str(tmp_path), byte_tokens)
    assert content_sha256(made)[:12] == checksum


@pytest.mark.parametrize(
    ("text", "cue"),
    [
        ("The cat sat", "The"),
        ("a b", "a"),
        ("ab c", "ab"),
        ("abc d", "a"),
        ("supercalifragilistic x", "sup"),
        ("abcdefghij", "ab"),
        ("ab", "a"),
        ("a", ""),
        ("", ""),
    ],
)
def test_first_word(text: str, cue: str) -> None:
    assert first_word(text) == cue


def copies_half(prompt: str) -> str:
    return copy_by_rule(prompt)[: len(copy_by_rule(prompt)) // 2] + "\n\n"


@pytest.mark.parametrize(
    ("rule", "exact"),
    [
        (lambda p: copy_by_rule(p).replace(" ", "\n"), 1.0),  # newlines count as spaces
        (lambda p: " " + copy_by_rule(p), 1.0),
        (lambda p: copy_by_rule(p) + "The cat", 1.0),
        (lambda p: copy_by_rule(p).strip() * 2, 0.0),
        (lambda p: "\n\n" + copy_by_rule(p), 0.0),
        (copies_half, 0.0),
    ],
)
def test_rules_get_the_scores_that_they_should(
    rule: Any, exact: float, byte_tokens: str, tmp_path: Path
) -> None:
    source = tmp_path / "text.txt"
    source.write_text(HOSTILE["english"])
    results = evaluate(Scripted(rule), "c4_copy_50", num_docs=6, source=str(source), tokenizer=byte_tokens)
    assert scores(results, "c4_copy_50")["exact_match"] == exact
    if rule is copies_half:
        assert 0.35 < scores(results, "c4_copy_50")["copied_fraction"] < 0.65


def test_wrong_from_the_tenth_letter_on(byte_tokens: str, tmp_path: Path) -> None:
    def wrong_from_ten(prompt: str) -> str:
        answer = copy_by_rule(prompt).strip()
        return answer[:10] + "#" * (len(answer) - 10) + "\n\n"

    source = tmp_path / "text.txt"
    source.write_text(HOSTILE["english"])
    results = evaluate(
        Scripted(wrong_from_ten), "c4_copy_50", num_docs=6, source=str(source), tokenizer=byte_tokens
    )
    share = [10 / len(sample["doc"]["answer"].strip()) for sample in results["samples"]["c4_copy_50"]]
    for metric in ("char_accuracy", "copied_fraction"):
        assert scores(results, "c4_copy_50")[metric] == pytest.approx(sum(share) / 6)
    assert scores(results, "c4_copy_50")["exact_match"] == 0.0


def test_room_for_the_answer_is_half_the_prompt_and_50(byte_tokens: str, tmp_path: Path) -> None:
    source = tmp_path / "text.txt"
    source.write_text(HOSTILE["english"])
    results = evaluate(
        Scripted(copy_by_rule), "c4_copy_100", num_docs=4, source=str(source), tokenizer=byte_tokens
    )
    samples = results["samples"]["c4_copy_100"]
    longest = max(len(sample["arguments"][0][0]) for sample in samples)
    assert {sample["arguments"][0][1]["max_gen_toks"] for sample in samples} == {longest // 2 + 50}


def test_results_name_source_and_tokenizer(byte_tokens: str, tmp_path: Path) -> None:
    source = tmp_path / "text.txt"
    source.write_text(HOSTILE["english"])
    results = evaluate(
        Scripted(copy_by_rule), "c4_copy_25", num_docs=2, source=str(source), tokenizer=byte_tokens
    )
    metadata = results["configs"]["c4_copy_25"]["metadata"]
    assert (metadata["source"], metadata["tokenizer"]) == (str(source), byte_tokens)
    assert metadata["tokenizer_sha256"] == load_tokenizer(byte_tokens).sha256
    assert metadata["source_sha256"] == read_texts(str(source)).sha256


# ---- sources


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("nowhere.txt", None, "does not exist"),
        ("empty.txt", "", "contains no text"),
        ("blank.txt", "\n \n" * 200, "too little text: 1000 windows of 25 tokens left nothing to copy"),
        ("short.txt", "a b c", "has 5 tokens, too few for windows of 25"),
        ("other.jsonl", '{"body": "x"}\n', "no column 'text' of strings; its columns are body"),
        ("broken.jsonl", "{", "cannot be read"),
        ("broken.parquet", "PAR", "cannot be read"),
    ],
)
def test_bad_sources_are_refused(
    name: str, content: str | None, said: str, tmp_path: Path, byte_tokens: str
) -> None:
    source = tmp_path / name
    if content is not None:
        source.write_text(content)
    with pytest.raises(InputError, match=f"c4_copy_25: .*{said}") as refusal:
        evaluate(Scripted(copy_by_rule), "c4_copy_25", num_docs=2, source=str(source), tokenizer=byte_tokens)
    assert "\n" not in str(refusal.value)


def test_a_source_as_long_as_the_window_is_long_enough(byte_tokens: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("The cat sat on the mat.")
    (row,) = rows(23, num_docs=1, source=str(tmp_path / "a.txt"), tokenizer=byte_tokens)
    assert row["answer"] == " cat sat on the mat."
    with pytest.raises(InputError, match="has 23 tokens, too few for windows of 24"):
        rows(24, num_docs=1, source=str(tmp_path / "a.txt"), tokenizer=byte_tokens)


def test_a_hub_out_of_reach_is_named_with_the_way_round(byte_tokens: str) -> None:
    said = r"cannot read the data set 'allenai/c4' from the Hub: .*; or pass a local text.*\"source\""
    with pytest.raises(InputError, match=said):
        evaluate(Scripted(copy_by_rule), "c4_copy_25", tokenizer=byte_tokens)
    said = r"cannot download the tokenizer '.*gpt-neox-20b' from the Hub: .*; or pass a.*\"tokenizer\""
    with pytest.raises(InputError, match=said):
        evaluate(Scripted(copy_by_rule), "c4_copy_25", source=str(prose()))


def test_a_tokenizer_that_loses_text_is_refused(tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "the": 1, "cat": 2}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "text.txt").write_text("The cat sat on the mat")
    with pytest.raises(
        InputError, match="does not restore the text that it encoded: 'The cat sat on the m' became"
    ):
        list(rows(3, "standard", 1, 0, str(tmp_path / "text.txt"), str(tmp_path)))
    for damaged in (b"{}", b"", b"\xff"):
        (tmp_path / "tokenizer.json").write_bytes(damaged)
        load_tokenizer.cache_clear()
        with pytest.raises(InputError, match="cannot be read"):
            load_tokenizer(str(tmp_path))
    with pytest.raises(InputError, match=r"nowhere.json' does not exist"):
        load_tokenizer("nowhere.json")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((1, "standard", 1), "tokens must be an integer of at least 2, not 1"),
        ((25, "sideways", 1), "order must be one of standard, random, not 'sideways'"),
        ((25, "standard", 0), "num_docs must be an integer of at least 1, not 0"),
        ((25, "standard", 1, "x"), "seed must be an integer, not 'x'"),
    ],
)
def test_bad_arguments_are_refused(arguments: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        rows(*arguments)

"""The controls in lm-eval's own evaluator, with models that answer by a rule."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from lm_eval.models.api_models import JsonChatStr

from dataset_builders import InputError, phone_book
from dataset_builders.phone_book_controls.documents import gap_rows, multi_rows, query_first_rows
from lm_eval_tasks.phone_book_errors import EARLIER, EXAMPLE, LATER, NEIGHBOUR, OTHER, classify
from lm_eval_tasks.questions import with_other_prompt
from lm_eval_tasks.results.controls import control_table, controls, without_pairs
from lm_eval_tasks.results.positions import queried_documents
from lm_eval_tasks.results.rows import read_scores
from lm_eval_tasks.results.samples import logged
from tests.evaluation import evaluate, scores
from tests.result_files import log_answers, result_file
from tests.scripted import Scripted

NUMBER_TOKENS = 11  # a space and ten digits, a token for each character
ENTRIES = 12


def numbers(prompt: str) -> dict[str, str]:
    lines = (line.rpartition(": ") for line in prompt.split("\n"))
    return {name: digits for name, _, digits in lines if len(digits) == 10 and digits.isdecimal()}


def name_of(prompt: str) -> str:
    return prompt.rpartition("\n")[2].removesuffix(":")


def look_up(prompt: str) -> str:
    """The number of the queried name, wherever it is in the prompt."""
    return f" {numbers(prompt).get(name_of(prompt), '6000000000')}\n"


def first_question(prompt: str) -> str:
    """Right if only the two examples come before the query."""
    return look_up(prompt) if prompt.split("\n\n")[-2].count("\n") == 1 else " 6000000000\n"


class Reader(Scripted):
    """Each character of the right number costs one nat less if the number is in the prompt."""

    def _loglikelihood_tokens(
        self, requests: list[Any], disable_tqdm: bool = False, **_: Any
    ) -> list[tuple[float, bool]]:
        found = []
        for (prompt, answer), _, tokens in requests:
            known = answer.strip() in prompt
            found.append(((-1.0 if known else -2.0) * len(tokens), known))
        return found


def test_a_model_that_looks_up_is_right_on_every_control() -> None:
    tasks = ("phone_book_query_first_n", "phone_book_gap_n", "phone_book_multi_n")
    results = evaluate(
        Scripted(look_up), *tasks, *(f"{task}_forced" for task in tasks), entries=ENTRIES, gap=30, num_docs=4
    )
    for task in tasks:
        metric = "recall" if "multi" in task else "exact_match"
        assert scores(results, task)[metric] == scores(results, f"{task}_forced")[metric] == 1
        assert scores(results, task)["truncated"] == scores(results, task)["unanswered"] == 0
        assert scores(results, f"{task}_forced")["logprob_per_token"] == -1


def test_the_questions_of_one_book_are_one_value() -> None:
    """lm-eval computes standard errors over documents, so each book must be one document."""

    def every_other_book(prompt: str) -> str:
        return look_up(prompt) if int(prompt.partition(": ")[2][9]) % 2 else " 6000000000\n"

    results = evaluate(
        Scripted(every_other_book), "phone_book_multi_n", "phone_book_multi_n_forced",
        entries=ENTRIES, questions=10, num_docs=9,
    )  # fmt: skip
    for task in ("phone_book_multi_n", "phone_book_multi_n_forced"):
        samples = results["samples"][task]
        values = [sample["recall"] for sample in samples]
        assert set(values) == {0, 1} and len(values) == 9
        assert all(len(sample["arguments"]) == 10 for sample in samples)
        mean = sum(values) / 9
        assert scores(results, task)["recall"] == pytest.approx(mean)
        assert scores(results, task)["recall_stderr"] == pytest.approx(math.sqrt(mean * (1 - mean) / 8))


def test_the_share_of_questions_without_an_answer_is_counted() -> None:
    def silent(prompt: str) -> str:
        return first_question(prompt).replace("6000000000", "")

    results = evaluate(Scripted(silent), "phone_book_multi_n", entries=ENTRIES, questions=4, num_docs=3)
    assert scores(results, "phone_book_multi_n")["unanswered"] == 3 / 4


def test_each_question_is_scored_on_its_own_with_the_right_answers_before_it() -> None:
    results = evaluate(
        Scripted(first_question), "phone_book_multi_n", "phone_book_multi_n_forced",
        entries=ENTRIES, questions=4, num_docs=3,
    )  # fmt: skip
    for task in ("phone_book_multi_n", "phone_book_multi_n_forced"):
        assert scores(results, task)["recall"] == 1 / 4
    sample = results["samples"]["phone_book_multi_n"][0]
    prompts, document = [arguments[0] for arguments in sample["arguments"]], sample["doc"]
    assert prompts[0] == document["prompt"]
    for number, prompt in enumerate(prompts):
        assert name_of(prompt) == document["queries"][number]
        earlier = zip(document["queries"][:number], document["answers"], strict=False)
        assert all(prompt.count(f"{name}: {digits}") == 2 for name, digits in earlier)


def test_nats_gained_are_those_that_the_entry_adds() -> None:
    tasks = ("phone_book_n_gain", "phone_book_query_first_n_gain", "phone_book_gap_n_gain")
    results = evaluate(Reader(look_up), *tasks, entries=ENTRIES, gap=9, num_docs=5)
    for task in tasks:
        found = scores(results, task)
        assert found["nats_gained"] == NUMBER_TOKENS and found["logprob_per_token"] == -1
        assert found["nats_gained_stderr"] == found["truncated"] == found["misaligned"] == 0
        for sample in results["samples"][task]:
            (prompt, answer), (without, same) = sample["arguments"]
            entry = f"{name_of(prompt)}:{answer}\n"
            assert answer == same == f" {sample['doc']['answer']}"
            assert prompt.count(entry) == 1 and prompt.replace(entry, "") == without


def test_a_document_that_does_not_fit_has_no_gain() -> None:
    results = evaluate(Reader(look_up, window=250), "phone_book_n_gain", entries=[5, 12], num_docs=4)
    small, large = (scores(results, f"phone_book_{n}_gain") for n in (5, 12))
    assert (small["truncated"], small["nats_gained"]) == (0, NUMBER_TOKENS)
    assert large["truncated"] == 1 and "nats_gained" not in large


def test_the_longest_question_has_to_fit() -> None:
    prompt = next(phone_book.rows(ENTRIES, 1))["prompt"]
    window = len(prompt) + 60  # the first question and 50 new tokens, but not two more lines
    model = Scripted(look_up, window=window)
    results = evaluate(model, "phone_book_multi_n", entries=ENTRIES, questions=8, num_docs=1)
    assert scores(results, "phone_book_multi_n") | {"truncated": 1, "recall": 0} == scores(
        results, "phone_book_multi_n"
    )


def test_another_prompt_takes_the_place_of_the_document() -> None:
    prompt, other = 'A "b"\n\nC:', "A\nCé:"
    assert with_other_prompt(f"<user>{prompt}<end>", prompt, other) == f"<user>{other}<end>"
    chat = JsonChatStr(json.dumps([{"role": "user", "content": prompt}], ensure_ascii=False))
    replaced = with_other_prompt(chat, prompt, other)
    assert json.loads(replaced.prompt) == [{"role": "user", "content": other}]
    with pytest.raises(InputError, match="chat template changes the prompt"):
        with_other_prompt("<user>a<end>", prompt, other)


# ---- reports


def test_wrong_answers_of_controls_are_classified_as_those_of_phone_book() -> None:
    plain = list(phone_book.rows(20, 30))
    for rows in (query_first_rows(20, 30), gap_rows(40, 20, 30)):
        found = set()
        for row, pair in zip(rows, plain, strict=True):
            for number in numbers(pair["prompt"].split("\n\n")[0]).values():
                if number != row["answer"]:
                    found.add(classify(row, number))
                    assert classify(row, number) == classify(pair, number)
        assert found == {EXAMPLE, NEIGHBOUR, EARLIER, LATER}
        assert classify(next(gap_rows(40, 20, 1)), "6000000000") == OTHER


def test_positions_of_a_gap_are_those_of_its_book(tmp_path: Path) -> None:
    rows = list(gap_rows(100, num_docs=30))
    file = result_file(tmp_path, {"phone_book_gap_100": 1.0}, documents=30)
    log_answers(file, "phone_book_gap_100", rows, [row["answer"] for row in rows])
    found = queried_documents(logged(read_scores([tmp_path])))
    assert [one.position for one in found] == [row["query_position"] for row in rows]
    assert {one.length for one in found} == {100} and {one.positions for one in found} == {20}
    assert all(0 <= one.tenth <= 9 and 1 <= one.distance <= 20 for one in found)


def test_controls_are_compared_with_their_pairs(tmp_path: Path) -> None:
    """Right on 10 documents of phone_book; with the name announced, on 6 of these and on 10 others."""
    plain, announced = list(phone_book.rows(20, 40)), list(query_first_rows(20, 50))
    tasks = {"phone_book_20": 10 / 40, "phone_book_query_first_20": 16 / 50, "phone_book_gap_100": 1.0}
    file = result_file(tmp_path, tasks, documents=40)
    answers = [row["answer"] if i < 10 else "6" for i, row in enumerate(plain)]
    log_answers(file, "phone_book_20", plain, answers)
    answers = [row["answer"] if 4 <= i < 20 else "6" for i, row in enumerate(announced)]
    log_answers(file, "phone_book_query_first_20", announced, answers)
    another = result_file(tmp_path / "b", {"phone_book_20": 0.0}, model="org/other", documents=40)
    log_answers(another, "phone_book_20", plain, ["6"] * 40)
    (one,) = controls(logged(read_scores([tmp_path])))
    assert (one.score.benchmark, one.pairs) == ("phone_book_query_first", "phone_book")
    found = one.comparison
    assert (found.documents, found.first_better, found.second_better) == (40, 10, 4)
    assert (found.first, found.second) == (16 / 40, 10 / 40)
    assert found.test == "McNemar, exact" and found.ends is not None and found.ends[0] < 0.15 < found.ends[1]
    row = next(line for line in control_table([one]).splitlines() if "query_first" in line)
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    assert cells[:6] == ["model", "phone_book_query_first", "20 entries", "40", "0.250", "0.400"]


def test_recall_of_several_questions_is_compared_by_book(tmp_path: Path) -> None:
    plain, several = list(phone_book.rows(20, 6)), list(multi_rows(20, 6, questions=4))
    file = result_file(tmp_path, {"phone_book_20": 1.0, "phone_book_multi_20": 0.5}, documents=6)
    log_answers(file, "phone_book_20", plain, [row["answer"] for row in plain])
    samples = log_answers(file, "phone_book_multi_20", [], [])
    lines = [
        {"doc": row, "doc_hash": "h", "filtered_resps": ["", "", "", ""], "recall": 0.5 + 0.25 * (i % 2)}
        for i, row in enumerate(several)
    ]
    samples.write_text("".join(json.dumps(line) + "\n" for line in lines))
    content = json.loads(file.read_text())
    found = content["results"]["phone_book_multi_20"]
    found["recall,none"] = found.pop("exact_match,none")
    file.write_text(json.dumps(content))
    (one,) = controls(logged(read_scores([tmp_path])))
    assert (one.comparison.first, one.comparison.second, one.comparison.documents) == (0.625, 1.0, 6)
    assert one.comparison.test == "permutation, paired"


def test_controls_without_a_pair_are_named(tmp_path: Path) -> None:
    """The pairs of one model have another seed, and those of the other another precision."""
    whole = "torch.float32"
    for model, seed, dtype in (("a", 1, whole), ("b", 0, "torch.float16"), ("c", 0, whole)):
        control, pairs = list(query_first_rows(20, 4)), list(phone_book.rows(20, 4, seed=seed))
        for task, rows, one in (
            ("phone_book_query_first_20", control, whole),
            ("phone_book_20", pairs, dtype),
        ):
            config = {"model_dtype": one}
            file = result_file(tmp_path / model, {task: 1.0}, model=model, documents=4, config=config)
            log_answers(file, task, rows, [row["answer"] for row in rows])
    sampled = logged(read_scores([tmp_path]))
    found = controls(sampled)
    assert [one.score.label for one in found] == ["c"]
    alone = without_pairs(sampled, found)
    assert [(one.run.model, one.benchmark) for one in alone] == [(m, "phone_book_query_first") for m in "ab"]
    text = control_table(found, alone)
    assert "Not compared: a on phone_book_query_first at 20 entries, b" in text
    assert control_table([], alone).startswith("Not compared") and control_table([]) == ""


@pytest.mark.parametrize(
    "other",
    [
        {"model_args": {"pretrained": "m", "load_in_8bit": True}},
        {"config": {"model_sha": "beef"}},
        {"config": {"model_dtype": "torch.float16"}},
        {"chat_template": "x"},
        {"system_instruction": "x"},
        {"config": {"model": "vllm"}},
        {"config": {"gen_kwargs": {"until": ["."]}}},
        {"n-shot": {"phone_book_20": 2}},
        {"metadata": {"weights": "bbbbbbbb"}},
    ],
    ids=lambda other: json.dumps(other),
)
def test_controls_are_compared_with_runs_of_the_same_model_prompted_alike(
    tmp_path: Path, other: dict[str, Any]
) -> None:
    for task, rows, options in (
        ("phone_book_query_first_20", list(query_first_rows(20, 2)), {"metadata": {"weights": "aaaaaaaa"}}),
        ("phone_book_20", list(phone_book.rows(20, 2)), other),
    ):
        file = result_file(tmp_path, {task: 1.0}, model="m", documents=2, **options)
        log_answers(file, task, rows, [row["answer"] for row in rows])
    assert controls(logged(read_scores([tmp_path]))) == []

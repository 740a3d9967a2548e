"""What a forced task scores: only the answer, with either ending, per scored token."""

import logging
import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from dataset_builders.phone_book import rows
from lm_eval_tasks.alignment import scored_tokens, split_request
from lm_eval_tasks.end_of_text import with_end_of_text
from lm_eval_tasks.forced_view import ForcedView
from lm_eval_tasks.scoring import forced as forced_scores
from tests.evaluation import evaluate, scores
from tests.models import END, byte_tokenizer, tiny_model
from tests.scripted import Scripted, look_up
from tests.test_window import tiny_t5


def merging_tokenizer() -> PreTrainedTokenizerFast:
    """Bytes, and one token for ": 8", which spans the end of the prompt and the start of some answers."""
    vocabulary = {symbol: i for i, symbol in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    vocabulary |= {END: 256, "Ġ8": 257, ":Ġ8": 258}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[("Ġ", "8"), (":", "Ġ8")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, pad_token=END)


def ending_tokenizer() -> PreTrainedTokenizerFast:
    """Bytes, and the end-of-text token after every text."""
    tokenizer = byte_tokenizer()
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"$A {END}", special_tokens=[(END, 256)]
    )
    return tokenizer


def hf(tokenizer: Any) -> HFLM:
    return HFLM(
        pretrained=tiny_model("gpt_neox", vocab_size=259), tokenizer=tokenizer, device="cpu", max_length=4096
    )


def forced(lm: Any, **metadata: Any) -> tuple[dict[str, float], list[dict[str, Any]]]:
    results = evaluate(lm, "phone_book_n_forced", entries=4, **metadata)
    return scores(results, "phone_book_n_forced"), results["samples"]["phone_book_n_forced"]


def test_answers_that_merge_with_the_prompt_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found, samples = forced(hf(merging_tokenizer()), num_docs=60)
    merged = [sample["doc"]["answer"].startswith("8") for sample in samples]
    assert 0 < sum(merged) < 60
    assert [sample["misaligned"] for sample in samples] == merged
    assert found["misaligned"] == pytest.approx(sum(merged) / 60)
    (warning,) = [r.getMessage() for r in caplog.records if "misaligned" in r.getMessage()]
    assert (
        f"in {sum(merged)} of 60 documents the scored tokens are not exactly those of the answer" in warning
    )


def test_a_document_is_misaligned_if_any_of_its_answers_is() -> None:
    task = "phone_book_multi_n_forced"
    results = evaluate(hf(merging_tokenizer()), task, entries=5, questions=3, num_docs=12)
    merged = [
        [answer.startswith("8") for answer in one["doc"]["answers"]] for one in results["samples"][task]
    ]
    assert any(any(of_book) and not of_book[-1] for of_book in merged), "the last answer does not decide"
    assert [sample["misaligned"] for sample in results["samples"][task]] == list(map(any, merged))


def test_a_tokenizer_that_ends_texts_is_counted() -> None:
    assert forced(hf(ending_tokenizer()), num_docs=2)[0]["misaligned"] == 1.0


def test_a_tokenizer_that_ends_prompts_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    tokenizers = {"ending": ending_tokenizer(), "bytes": byte_tokenizer()}
    said = {}
    for name, tokenizer in tokenizers.items():
        caplog.clear()
        lm = hf(tokenizer)
        (config,) = evaluate(lm, "phone_book_n", entries=4, num_docs=1)["configs"].values()
        assert config["metadata"].get("ended_prompts") is (True if name == "ending" else None)
        said[name] = [r.getMessage() for r in caplog.records if "ends each prompt" in r.getMessage()]
    assert [len(warnings) for warnings in said.values()] == [1, 0]
    assert "pass add_bos_token=False in --model_args" in said["ending"][0]


def test_a_tokenizer_of_bytes_is_aligned() -> None:
    assert forced(hf(byte_tokenizer()), num_docs=2)[0]["misaligned"] == 0.0


def test_an_encoder_decoders_log_probability_is_per_scored_token(caplog: pytest.LogCaptureFixture) -> None:
    lm = tiny_t5()
    with caplog.at_level(logging.WARNING):
        found, samples = forced(lm, num_docs=3)
    assert found["misaligned"] == 1.0
    assert any("an encoder-decoder model encodes" in record.getMessage() for record in caplog.records)
    for sample in samples:
        expected = []
        for prompt, answer in sample["arguments"]:
            ids = torch.tensor([lm.tok_encode(prompt)])
            labels = torch.tensor([lm.tok_encode(answer, add_special_tokens=False)])
            with torch.no_grad():
                expected.append(-lm.model(input_ids=ids, labels=labels).loss.item())  # a mean over tokens
        assert sample["logprob_per_token"] == pytest.approx(max(expected), rel=1e-4)


def test_a_decoders_log_probability_is_per_scored_token() -> None:
    lm = hf(byte_tokenizer())
    for sample in forced(lm, num_docs=3)[1]:
        expected = []
        for prompt, answer in sample["arguments"]:
            before, ids = lm.tok_encode(prompt), torch.tensor([lm.tok_encode(prompt + answer)])
            labels = ids.clone()
            labels[:, : len(before)] = -100
            with torch.no_grad():
                expected.append(-lm.model(input_ids=ids, labels=labels).loss.item())
        assert len(expected) == 2
        assert sample["logprob_per_token"] == pytest.approx(max(expected), rel=1e-4)


# ---- the answer's ending


class WithTokenizer(Scripted):
    """A model that answers by a rule and has a tokenizer, so that end-of-text can be written."""

    tokenizer = byte_tokenizer()

    @property
    def eot_token_id(self) -> int:
        return 256

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
        return self.tokenizer.encode(string)


@pytest.mark.parametrize(
    ("ending", "exact"), [("\n", 1.0), (END, 1.0), ("\n" + END, 1.0), (" \n", 0.0), (".", 0.0), ("0\n", 0.0)]
)
def test_a_number_ends_with_a_line_or_with_the_text(ending: str, exact: float) -> None:
    lm = WithTokenizer(lambda prompt: look_up(prompt).removesuffix("\n") + ending)
    assert forced(lm, num_docs=3)[0]["exact_match"] == exact


def test_a_letter_string_ends_with_a_mark_or_with_the_text() -> None:
    def copy(prompt: str) -> str:
        return prompt.removeprefix("$").removesuffix("|")

    for ending, exact in ((".", 1.0), (END, 1.0), ("a", 0.0)):
        lm = WithTokenizer(lambda prompt, ending=ending: copy(prompt) + ending)
        results = evaluate(lm, "string_copy_10_forced", num_docs=3, spelling="symbols")
        assert scores(results, "string_copy_10_forced")["exact_match"] == exact


def test_both_endings_are_asked_for_once_each() -> None:
    samples = forced(WithTokenizer(look_up), num_docs=2)[1]
    for sample in samples:
        answer = sample["doc"]["answer"]
        assert [arguments[1] for arguments in sample["arguments"]] == [f" {answer}\n", f" {answer}{END}"]


def test_an_answer_without_an_ending_has_one_request() -> None:
    doc = {"id": "0", "prompt": "The cat.\n\nThe", "answer": " cat."}
    request = Instance("loglikelihood", doc, (doc["prompt"], doc["answer"]), 0)
    assert with_end_of_text(WithTokenizer(look_up), [request]) == []


def test_a_tokenizer_that_reads_no_end_of_text_has_one_ending() -> None:
    class Letters(WithTokenizer):
        def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
            return [ord(letter) for letter in string]

    assert [len(sample["arguments"]) for sample in forced(Letters(look_up), num_docs=2)[1]] == [1, 1]


def test_the_pass_is_shared_by_both_endings(monkeypatch: pytest.MonkeyPatch) -> None:
    lm = hf(byte_tokenizer())
    rows = 0
    call = lm._model_call

    def counted(inputs: torch.Tensor, *rest: Any, **options: Any) -> torch.Tensor:
        nonlocal rows
        rows += len(inputs)
        return call(inputs, *rest, **options)

    monkeypatch.setattr(lm, "_model_call", counted)
    forced(lm, num_docs=3)
    assert rows == 3


def test_log_probabilities_that_are_not_numbers_are_wrong(caplog: pytest.LogCaptureFixture) -> None:
    class NotNumbers(Scripted):
        def _loglikelihood_tokens(self, requests: list[Any], *_: Any, **__: Any) -> list[tuple[float, bool]]:
            return [(math.nan, True) for _ in requests]

    with caplog.at_level(logging.WARNING):
        results = evaluate(NotNumbers(look_up), "phone_book_20_forced", "string_copy_10_forced", num_docs=3)
    for task in ("phone_book_20_forced", "string_copy_10_forced"):
        assert scores(results, task)["exact_match"] == 0
        assert math.isnan(scores(results, task)["logprob_per_token"])
    (warning,) = [r.getMessage() for r in caplog.records if "NaN" in r.getMessage()]
    assert "_forced: some log-probabilities are not numbers (NaN)" in warning


@pytest.mark.parametrize(
    ("results", "exact"),
    [
        ([(math.nan, True), (-6.0, False)], 0.0),
        ([(math.nan, True), (-6.0, True)], 1.0),
        ([(-6.0, False), (-7.0, False)], 0.0),
    ],
)
def test_an_ending_that_is_not_a_number_does_not_decide(
    results: list[tuple[float, bool]], exact: float
) -> None:
    (doc,) = rows(20, 1, 0)
    request = Instance("loglikelihood", doc, (doc["prompt"], f" {doc['answer']}\n"), 0)
    lm = WithTokenizer(look_up)
    assert (
        ForcedView(lm, [request], lambda _: None).scores(doc, results, forced_scores)["exact_match"] == exact
    )


def test_every_score_of_a_document_that_does_not_fit_is_0(monkeypatch: pytest.MonkeyPatch) -> None:
    (doc,) = rows(20, 1, 0)
    request = Instance("loglikelihood", doc, (doc["prompt"], f" {doc['answer']}\n"), 0)
    view = ForcedView(WithTokenizer(look_up), [request], lambda _: None)
    monkeypatch.setattr(view, "truncates", lambda _: True)
    scores = view.scores(doc, [(-1.0, True)], lambda _, results: {"probability": math.exp(results[0][0])})
    assert scores["probability"] == 0


# ---- several processes


class OneOfTwo(Scripted):
    """The first of two processes; ``other`` is whether a document of the second fits the window."""

    world_size = 2

    def __init__(self, other: int) -> None:
        super().__init__(look_up)
        self._other = other

    def all_gather(self, tensor: torch.Tensor) -> torch.Tensor:
        return torch.tensor([int(tensor), self._other])


@pytest.mark.parametrize("other", [0, 1])
def test_a_metric_that_another_process_lacks_is_left_out(other: int) -> None:
    """lm-eval gathers the metrics of the first process, and fails if another process lacks one."""
    (doc,) = rows(20, 1, 0)
    request = Instance("loglikelihood", doc, (doc["prompt"], f" {doc['answer']}\n"), 0)
    view = ForcedView(OneOfTwo(other), [request], warn=lambda sentence: None)
    found = view.scores(doc, [(-6.0, True)], score=forced_scores)
    assert found["exact_match"] == 1.0
    assert ("logprob_per_token" in found) == bool(other)


def test_white_space_after_the_prompt_belongs_to_the_answer() -> None:
    assert split_request(" a b \n", "c") == (" a b", " \nc")


def test_a_prompt_that_ends_with_end_of_text_is_misaligned() -> None:
    lm = HFLM(pretrained=tiny_model("gpt_neox"), tokenizer=byte_tokenizer(), device="cpu")
    requests = [SimpleNamespace(args=(prompt, " b")) for prompt in ("a", f"a{END}", f"{END}a")]
    assert [one.aligned for one in scored_tokens(lm, requests)] == [True, False, True]

"""lm-eval gets the tokens of its own tokenization, without tokenizing again."""

from typing import Any

import pytest
from lm_eval import simple_evaluate
from lm_eval.api.model import CachingLM
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from lm_eval_tasks import TASKS_FOLDER, token_cache, tokens
from lm_eval_tasks.token_cache import TokenCache, keep
from lm_eval_tasks.tokens import encode_all, encode_for_model
from tests.models import byte_tokenizer, tiny_model

TASKS = ["phone_book_20_forced", "phone_book_20"]


class CountingLM(HFLM):
    """Counts the texts that are tokenized one at a time."""

    encoded = 0

    def tok_encode(self, *arguments: Any, **options: Any) -> Any:
        self.encoded += 1
        return super().tok_encode(*arguments, **options)


def counting(**options: Any) -> CountingLM:
    return CountingLM(
        pretrained=tiny_model("gpt_neox"), tokenizer=byte_tokenizer(), batch_size=4, device="cpu", **options
    )


def evaluated(lm: Any) -> Any:
    manager = TaskManager(include_path=TASKS_FOLDER, include_defaults=False)
    options: dict[str, Any] = {"limit": 12, "bootstrap_iters": 1, "gen_kwargs": "max_gen_toks=2"}
    results = simple_evaluate(model=lm, tasks=TASKS, task_manager=manager, **options)
    return {
        task: [(sample["arguments"], sample["resps"]) for sample in results["samples"][task]]
        for task in TASKS
    }


@pytest.mark.parametrize("options", [{}, {"add_bos_token": True}], ids=["plain", "with a first token"])
def test_scores_are_the_same_and_prompts_are_not_tokenized_again(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = counting(**options)
    found = evaluated(lm)
    assert isinstance(lm.tok_encode, TokenCache)
    kept = lm.encoded
    monkeypatch.setattr(tokens, "keep", lambda *_: None)
    plain = counting(**options)
    assert evaluated(plain) == found
    # two texts of each of 12 forced documents and endings, and one of each generated document
    assert plain.encoded - kept >= 12 * 3


def test_a_text_is_given_as_often_as_it_was_kept() -> None:
    lm = counting()
    texts = ["ab", "c", "ab"]
    ids = [lm.tok_encode(text) for text in texts]
    assert list(encode_for_model(lm, texts)) == ids
    before = lm.encoded
    assert [lm.tok_encode(text) for text in texts] == ids
    assert lm.encoded == before
    assert lm.tok_encode("ab") == ids[0] and lm.encoded == before + 1
    keep(lm, "ab", ids[0])
    assert lm.tok_encode("ab", left_truncate_len=1) == ids[0][-1:]


def test_a_kept_text_is_not_tokenized_again(monkeypatch: pytest.MonkeyPatch) -> None:
    lm = counting()
    first = list(encode_for_model(lm, ["ab", "c"]))
    d, e = map(lm.tok_encode, "de")
    asked: list[str] = []

    def watched(lm: Any, texts: list[str]) -> Any:
        asked.extend(texts)
        return encode_all(lm, texts)

    monkeypatch.setattr(tokens, "encode_all", watched)
    assert list(encode_for_model(lm, ["d", "ab", "e", "c"])) == [d, first[0], e, first[1]]
    assert asked == ["d", "e"]


def test_too_many_tokens_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_cache, "_MOST_TOKENS", 3)
    lm = counting()
    own = lm.tok_encode("cd")
    for text in ("ab", "cd", "e"):
        keep(lm, text, [1] * len(text))
    assert [lm.tok_encode(text) for text in ("ab", "cd", "e")] == [[1, 1], own, [1]]


def test_the_cache_has_room_again_when_a_text_leaves_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_cache, "_MOST_TOKENS", 4)
    cache = TokenCache(lambda *_: [0])
    for text in ("ab", "ab", "cd", "ef"):  # a text that is kept twice takes the room of one
        cache.keep(text, [1, 1])
    assert cache("ab", 1) == [0], "the ids are of a call with the text alone"
    assert [cache(text) for text in ("ab", "ef", "ab")] == [[1, 1], [0], [1, 1]]
    cache.keep("gh", [2, 2])
    cache.discard("cd")
    cache.keep("ij", [3, 3])
    assert [cache(text) for text in ("gh", "cd", "ij")] == [[2, 2], [0], [3, 3]]


def test_the_model_within_lm_evals_cache_gets_them(tmp_path: Any) -> None:
    lm = counting()
    keep(CachingLM(lm, str(tmp_path / "cache.db")), "ab", [1])
    assert lm.tok_encode("ab") == [1]


def test_texts_that_begin_with_the_first_token_are_encoded_by_the_model() -> None:
    lm = counting(add_bos_token=True)
    texts = ["a", f"{lm.tokenizer.decode(lm.prefix_token_id)}b"]
    assert list(encode_all(lm, texts)) == [lm.tok_encode(text) for text in texts]

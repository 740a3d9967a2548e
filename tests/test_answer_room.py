"""The number of tokens that an answer may have."""

from typing import Any

import pytest
from lm_eval.api.instance import Instance

from dataset_builders import InputError
from lm_eval_tasks.answer_room import answer_room, set_room
from tests.scripted import Scripted, look_up

DOCUMENTS = {"prompt": ["abcd", "ab cd é"], "answer": ["ab", "abcé"]}


@pytest.mark.parametrize(
    ("options", "default", "room"),
    [
        ({"max_gen_toks": 50}, 50, 50),
        ({"max_gen_toks": 7}, 50, 7),
        ({"max_gen_toks": 7}, None, 7),
        ({"max_gen_toks": 50, "max_new_tokens": 7}, 50, 7),
        ({"max_gen_toks": 50, "max_tokens": 7}, 50, 7),
        ({"max_completion_tokens": 7}, None, 7),
        ({"max_gen_toks": 7, "max_tokens": 7}, 50, 7),
    ],
)
def test_gen_kwargs_may_use_any_of_the_names(options: dict[str, Any], default: int | None, room: int) -> None:
    assert answer_room({"until": [], **options}, default, "answer", DOCUMENTS, None) == room


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_gen_toks": 8, "max_tokens": 7}, "two numbers of new tokens: max_gen_toks=8, max_tokens=7"),
        ({"max_tokens": 0}, "max_tokens must be an integer of at least 1, not 0"),
        ({"max_gen_toks": "x"}, "max_gen_toks must be an integer of at least 1, not 'x'"),
    ],
)
def test_other_numbers_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        answer_room(options, 50, None, DOCUMENTS, None)


def test_rules_count_tokens_or_bytes() -> None:
    lm = Scripted(look_up)  # a token is a character
    assert answer_room({}, None, "half_prompt", DOCUMENTS, lm) == 7 // 2 + 50
    assert answer_room({}, None, "answer", DOCUMENTS, lm) == 5 + 10
    assert answer_room({}, None, "half_prompt", DOCUMENTS, None) == 8 // 2 + 50
    assert answer_room({}, None, "answer", DOCUMENTS, None) == 6 + 10
    with pytest.raises(InputError, match="new_tokens must be half_prompt or answer, not 'half'"):
        answer_room({}, None, "half", DOCUMENTS, lm)


def test_the_room_has_one_name() -> None:
    options = {"until": ["\n"], "max_tokens": 3, "max_new_tokens": 4, "temperature": 0.0}
    request = Instance("generate_until", {}, ("prompt", options), 0)
    set_room(request, 9)
    assert request.args == ("prompt", {"until": ["\n"], "temperature": 0.0, "max_gen_toks": 9})

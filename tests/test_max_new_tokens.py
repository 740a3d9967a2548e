"""The maximum number of tokens of an answer."""

from typing import Any

import pytest
from lm_eval import simple_evaluate
from lm_eval.api.instance import Instance
from lm_eval.tasks import TaskManager

from dataset_builders import InputError
from lm_eval_tasks import TASKS_FOLDER
from lm_eval_tasks.max_new_tokens import max_new_tokens, set_max_new_tokens
from tests.material import neox_tokenizer, prose
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
    assert max_new_tokens({"until": [], **options}, default, "answer", DOCUMENTS, None) == room


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"max_gen_toks": 8, "max_tokens": 7},
            "different values for one setting: max_gen_toks=8, max_tokens=7",
        ),
        ({"max_tokens": 0}, "max_tokens must be an integer of at least 1, not 0"),
        ({"max_gen_toks": "x"}, "max_gen_toks must be an integer of at least 1, not 'x'"),
    ],
)
def test_other_numbers_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        max_new_tokens(options, 50, None, DOCUMENTS, None)


def test_rules_count_tokens_or_bytes() -> None:
    lm = Scripted(look_up)  # a token is a character
    assert max_new_tokens({}, None, "half_prompt", DOCUMENTS, lm) == 7 // 2 + 50
    assert max_new_tokens({}, None, "answer", DOCUMENTS, lm) == 5 + 10
    assert max_new_tokens({}, None, "half_prompt", DOCUMENTS, None) == 8 // 2 + 50
    assert max_new_tokens({}, None, "answer", DOCUMENTS, None) == 6 + 10
    with pytest.raises(InputError, match="new_tokens must be half_prompt or answer, not 'half'"):
        max_new_tokens({}, None, "half", DOCUMENTS, lm)


def test_the_room_has_one_name() -> None:
    options = {"until": ["\n"], "max_tokens": 3, "max_new_tokens": 4, "temperature": 0.0}
    request = Instance("generate_until", {}, ("prompt", options), 0)
    set_max_new_tokens(request, 9)
    assert request.args == ("prompt", {"until": ["\n"], "temperature": 0.0, "max_gen_toks": 9})


def test_the_room_is_that_of_all_documents_whatever_the_limit() -> None:
    def room(limit: int | None) -> tuple[int, int]:
        metadata = {"num_docs": 6, "source": str(prose()), "tokenizer": str(neox_tokenizer())}
        results = simple_evaluate(
            model=Scripted(look_up_nothing),
            tasks=["c4_copy_25"],
            task_manager=TaskManager(include_path=TASKS_FOLDER, include_defaults=False),
            metadata=metadata,
            limit=limit,
            bootstrap_iters=1,
        )
        sample = results["samples"]["c4_copy_25"][0]
        return sample["arguments"][0][1]["max_gen_toks"], len(sample["doc"]["prompt"]) // 2 + 50

    limited, of_the_first_alone = room(1)
    assert limited == room(None)[0] > of_the_first_alone


def look_up_nothing(prompt: str) -> str:
    return ""

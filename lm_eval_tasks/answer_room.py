"""How many tokens a generated answer may have."""

from collections.abc import Mapping, Sequence
from typing import Any

from dataset_builders.checks import check_integer
from dataset_builders.errors import InputError
from lm_eval_tasks.tokens import counts_tokens, token_counts

_ALIASES = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
"""What ``--gen_kwargs`` may call the number of tokens to generate; each of lm-eval's models reads some."""


def answer_room(
    options: Mapping[str, Any],
    default: int | None,
    rule: str | None,
    documents: Mapping[str, Sequence[Any]],
    lm: Any,
) -> int:
    """Tokens to generate for each document of a task, one number so that lm-eval can batch them.

    Args:
        options: the run's generation settings, where ``--gen_kwargs`` has replaced the task's own.
        default: the task's own ``max_gen_toks``, if it has one.
        rule: ``half_prompt`` for half as many as the longest prompt has and 50 more, or ``answer`` for as
            many as the longest answer has and 10 more; of no effect if there is another number.
        documents: columns ``prompt`` and ``answer`` of all documents of the task, so that neither
            ``--limit`` nor the number of processes changes the room.
        lm: the model, which counts the tokens. Where it cannot, bytes stand for tokens: no tokenizer
            makes more tokens than there are bytes.

    Raises:
        InputError: ``--gen_kwargs`` gives two numbers, or one that is no positive integer.
    """
    given = {name: options[name] for name in _ALIASES if options.get(name) is not None}
    if len(given) > 1 and given.get("max_gen_toks") == default:
        given.pop("max_gen_toks", None)
    if len(set(given.values())) > 1:
        raise InputError(
            f"--gen_kwargs gives two numbers of new tokens: {', '.join(f'{k}={v}' for k, v in given.items())}"
        )
    if given:
        name, room = given.popitem()
        check_integer(name, room, least=1)
        return int(room)
    if rule not in ("half_prompt", "answer"):
        raise InputError(f"new_tokens must be half_prompt or answer, not {rule!r}")
    half = rule == "half_prompt"
    texts = list(documents["prompt"]) if half else [f" {answer}" for answer in documents["answer"]]
    lengths = token_counts(lm, texts) if counts_tokens(lm) else [len(text.encode()) for text in texts]
    return max(lengths) // 2 + 50 if half else max(lengths) + 10


def set_room(request: Any, room: int) -> None:
    """Give a generated request this room, under the one name that all of lm-eval's models read."""
    prompt, options = request.args
    others = {name: value for name, value in options.items() if name not in _ALIASES}
    request.arguments = (prompt, {**others, "max_gen_toks": room})

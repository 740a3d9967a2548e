"""The maximum number of tokens of a generated answer."""

from collections.abc import Mapping, Sequence
from typing import Any

from dataset_builders.checks import check_integer
from dataset_builders.errors import InputError
from lm_eval_tasks.tokens import counts_tokens, token_counts

_ALIASES = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
"""Names of this setting in ``--gen_kwargs``; each of lm-eval's models reads only some of these names."""


def max_new_tokens(
    options: Mapping[str, Any],
    default: int | None,
    rule: str | None,
    documents: Mapping[str, Sequence[Any]],
    lm: Any,
) -> int:
    """The maximum number of new tokens, the same for all documents of a task so that lm-eval can batch them.

    Args:
        options: the run's generation settings: the task's, updated by ``--gen_kwargs``.
        default: the task's own ``max_gen_toks``, if it has one.
        rule: ``half_prompt`` for half the length of the longest prompt plus 50, or ``answer`` for the length
            of the longest answer plus 10; ignored if a number is set.
        documents: columns ``prompt`` and ``answer`` of all documents of the task, so that neither
            ``--limit`` nor the number of processes changes the result.
        lm: the model, whose tokenizer counts the tokens. Without a tokenizer, bytes are counted instead: no
            tokenizer produces more tokens than bytes.

    Raises:
        InputError: ``--gen_kwargs`` has two different numbers, or one that is not a positive integer.
    """
    given = {name: options[name] for name in _ALIASES if options.get(name) is not None}
    if len(given) > 1 and given.get("max_gen_toks") == default:
        given.pop("max_gen_toks", None)
    if len(set(given.values())) > 1:
        raise InputError(
            f"--gen_kwargs has different values for one setting: "
            f"{', '.join(f'{k}={v}' for k, v in given.items())}; pass one of them"
        )
    if given:
        name, number = given.popitem()
        check_integer(name, number, least=1)
        return int(number)
    if rule not in ("half_prompt", "answer"):
        raise InputError(f"new_tokens must be half_prompt or answer, not {rule!r}")
    half = rule == "half_prompt"
    texts = list(documents["prompt"]) if half else [f" {answer}" for answer in documents["answer"]]
    lengths = token_counts(lm, texts) if counts_tokens(lm) else [len(text.encode()) for text in texts]
    return max(lengths) // 2 + 50 if half else max(lengths) + 10


def set_max_new_tokens(request: Any, number: int) -> None:
    """Set the maximum number of new tokens, under the name that most of lm-eval's models read.

    Of lm-eval 0.4.13, ``watsonx_llm`` reads ``max_new_tokens``, and ``gguf`` and ``textsynth`` read none.
    """
    prompt, options = request.args
    others = {name: value for name, value in options.items() if name not in _ALIASES}
    request.arguments = (prompt, {**others, "max_gen_toks": number})

"""Limits of lm-eval's API models, checked before the first document is sent."""

from typing import Any
from weakref import WeakSet

from pydantic import BaseModel, Field, ValidationError

from dataset_builders.checks import first_line
from dataset_builders.errors import InputError
from lm_eval_tasks.tokens import counts_tokens

_PROBE = "Ada Lovelace: 6123456789\n"

_probed: WeakSet[Any] = WeakSet()


class _Logprobs(BaseModel):
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None]


class _Choice(BaseModel):
    logprobs: _Logprobs


class _Completion(BaseModel):
    choices: list[_Choice] = Field(min_length=1)


def check_generation(lm: Any, prompt: object) -> None:
    """Check that prompts have the form that an API model's endpoint accepts.

    Args:
        lm: an ``lm_eval.api.model.LM``.
        prompt: the first document as formatted by lm-eval: a string, or chat messages.

    Raises:
        InputError: a chat endpoint would get a string, or a completions endpoint messages.
    """
    if not _is_api(lm):
        return
    if is_chat(lm) and isinstance(prompt, str):
        raise InputError("a chat endpoint needs messages; pass --apply_chat_template")
    if not is_chat(lm) and not isinstance(prompt, str):
        raise InputError(
            "a completions endpoint needs text; omit --apply_chat_template, pass tokenizer= in "
            "--model_args so that lm-eval applies its template, or use --model local-chat-completions"
        )


def check_forced(lm: Any) -> None:
    """Check that an API model can score a given answer, with one short request to the server.

    lm-eval sums whatever log-probabilities a server returns. A server that ignores ``echo`` returns none
    for the answer, so every answer would count as correct.

    Raises:
        InputError: the model is a chat model or has no tokenizer, or its server does not score prompts.
    """
    if not _is_api(lm) or lm in _probed:
        return
    if is_chat(lm):
        raise InputError(
            "chat endpoints do not return log-probabilities of a given answer; run the task without _forced, "
            "or use --model local-completions"
        )
    if not counts_tokens(lm):
        raise InputError(
            "scoring a given answer needs the model's tokenizer; pass tokenizer= in --model_args, or run "
            "the task without _forced"
        )
    _check_server(lm)
    _probed.add(lm)


def is_chat(lm: Any) -> bool:
    """Whether the model is one of lm-eval's chat-completions models."""
    return any(parent.__name__ == "LocalChatCompletion" for parent in type(lm).__mro__)


def _is_api(lm: Any) -> bool:
    return any(parent.__module__ == "lm_eval.models.api_models" for parent in type(lm).__mro__)


def _check_server(lm: Any) -> None:
    import requests

    ids = lm.tok_encode(_PROBE)
    instead = "run the task without _forced"
    try:
        answer = _Completion.model_validate(lm.model_call(messages=[ids], generate=False))
    except requests.RequestException as error:
        raise InputError(
            f"the server at {lm.base_url} does not score a given answer ({first_line(error)}); {instead}"
        ) from None
    except ValidationError:
        raise InputError(
            f"the server at {lm.base_url} returns no log-probabilities of the prompt; {instead}"
        ) from None
    logprobs = answer.choices[0].logprobs
    # one log-probability per token of the prompt, and one for the generated token
    if not len(logprobs.token_logprobs) == len(logprobs.top_logprobs) == len(ids) + 1:
        raise InputError(
            f"the server at {lm.base_url} returns log-probabilities of {len(logprobs.token_logprobs)} tokens "
            f"for a prompt of {len(ids)} tokens and one new token; pass the server's tokenizer as tokenizer= "
            f"in --model_args, or {instead}"
        )
    if None in logprobs.token_logprobs[1:] or None in logprobs.top_logprobs[1:]:
        raise InputError(f"the server at {lm.base_url} omits some log-probabilities of the prompt; {instead}")

"""Limits of lm-eval's API models, checked before the first document is sent."""

import re
from typing import Any
from weakref import WeakSet

from pydantic import BaseModel, Field, ValidationError

from dataset_builders.checks import first_line
from dataset_builders.errors import InputError
from lm_eval_tasks.server_errors import server_error
from lm_eval_tasks.tokens import counts_tokens

_PROBE = "Ada Lovelace: 6123456789\n"

_GGUF = (
    "lm-eval's gguf model does not tell the server how many tokens an answer may have, and does not check "
    "that each token has a log-probability; use --model local-completions with "
    "base_url={url}/v1/completions,model=NAME,tokenizer=FOLDER,tokenized_requests=False"
)

_probed: WeakSet[Any] = WeakSet()


class _Logprobs(BaseModel):
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None]


class _Choice(BaseModel):
    logprobs: _Logprobs


class _Completion(BaseModel):
    choices: list[_Choice] = Field(min_length=1)


def check_chat_template(lm: Any) -> None:
    """Check that lm-eval can apply a chat template, before it formats the documents.

    Raises:
        InputError: the model has no chat template.
    """
    try:
        lm.apply_chat_template([{"role": "user", "content": "a"}])
    except ValueError as error:
        reason = re.split(r"(?<=[.!?])\s", first_line(error))[0]
        raise InputError(f"the model has no chat template ({reason}); omit --apply_chat_template") from None


def check_generation(lm: Any, prompt: object) -> None:
    """Check that prompts have the form that an API model's endpoint accepts.

    Args:
        lm: an ``lm_eval.api.model.LM``.
        prompt: the first document as formatted by lm-eval: a string, or chat messages.

    Raises:
        InputError: a chat endpoint would get a string, or a completions endpoint messages; or the model is
            lm-eval's ``gguf``.
    """
    _check_not_gguf(lm)
    if not is_api(lm):
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
        InputError: the model is a chat model, lm-eval's ``gguf`` or has no tokenizer, or its server does not
            score prompts.
    """
    _check_not_gguf(lm)
    if not is_api(lm) or lm in _probed:
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


def is_api(lm: Any) -> bool:
    """Whether the model is one of lm-eval's models of OpenAI's protocol, chat or not."""
    return any(parent.__module__ == "lm_eval.models.api_models" for parent in type(lm).__mro__)


def _check_not_gguf(lm: Any) -> None:
    if any(parent.__module__ == "lm_eval.models.gguf" for parent in type(lm).__mro__):
        raise InputError(_GGUF.format(url=lm.base_url))


def _check_server(lm: Any) -> None:
    import requests

    ids = lm.tok_encode(_PROBE)
    instead = "run the task without _forced"
    try:
        answer = _Completion.model_validate(lm.model_call(messages=[ids], generate=False))
    except requests.RequestException as error:
        raise InputError(
            f"the server at {lm.base_url} does not score a given answer ({server_error(error)}); {instead}"
        ) from None
    except ValidationError:
        raise InputError(
            f"the server at {lm.base_url} returns no log-probabilities of the prompt; {instead}"
        ) from None
    logprobs = answer.choices[0].logprobs
    # one log-probability per token of the prompt, and one for the generated token
    count = len(logprobs.token_logprobs)
    if count == len(logprobs.top_logprobs) == len(ids):
        raise InputError(
            f"the server at {lm.base_url} returns log-probabilities of the prompt but not of the new token, "
            f"so lm-eval would not score the last token of an answer; {instead}"
        )
    if not count == len(logprobs.top_logprobs) == len(ids) + 1:
        raise InputError(
            f"the server at {lm.base_url} returns log-probabilities of {count} tokens "
            f"for a prompt of {len(ids)} tokens and one new token; pass the server's tokenizer as tokenizer= "
            f"in --model_args, or {instead}"
        )
    if None in logprobs.token_logprobs[1:] or None in logprobs.top_logprobs[1:]:
        raise InputError(f"the server at {lm.base_url} omits some log-probabilities of the prompt; {instead}")

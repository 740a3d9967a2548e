"""The beginning-of-text token, which lm-eval's models of servers leave out unless they are told to add it."""

from typing import Any

from lm_eval_tasks import lm_eval_run as harness
from lm_eval_tasks.tokens import counts_tokens, tokenizer_of


def missing_begin_warning(lm: Any, prompt: Any) -> str | None:
    """A warning if a prompt lacks the token with which its tokenizer begins texts; otherwise None.

    There is no warning if the user has passed ``add_bos_token=``, or if the server itself tokenizes.
    """
    tokenizer = tokenizer_of(lm)
    begin = getattr(tokenizer, "bos_token_id", None)
    if begin is None or not isinstance(prompt, str) or not callable(tokenizer) or not counts_tokens(lm):
        return None
    if not getattr(lm, "tokenized_requests", True) or "add_bos_token" in (harness.model_arguments() or {}):
        return None
    if lm.tok_encode(prompt)[:1] == [begin] or tokenizer(prompt, verbose=False)["input_ids"][:1] != [begin]:
        return None
    return (
        "lm-eval leaves out the token with which the model's tokenizer begins each text, so scores may be "
        "far below those of --model hf; pass add_bos_token=True in --model_args, or False to leave it out"
    )

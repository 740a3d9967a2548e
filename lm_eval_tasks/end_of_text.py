"""The end-of-text token: forced answers may end with it, as generated answers do, but prompts must not."""

from typing import Any

from lm_eval.api.instance import Instance

from lm_eval_tasks.alignment import is_encoder_decoder
from lm_eval_tasks.answer_ending import end_of_text, without_ending
from lm_eval_tasks.tokens import counts_tokens, tokenizer_of


def ended_prompt_warning(lm: Any, prompt: str) -> str | None:
    """The warning about a tokenizer that ends prompts with end-of-text; None if it does not.

    The input of an encoder may end with end-of-text.
    """
    if is_encoder_decoder(lm) or not counts_tokens(lm):
        return None
    written = getattr(tokenizer_of(lm), "eos_token", None)
    if isinstance(written, str) and prompt.endswith(written):
        return None
    end = getattr(lm, "eot_token_id", None)
    if end is None or lm.tok_encode(prompt)[-1:] != [end]:
        return None
    return (
        "the model's tokenizer ends each prompt with its end-of-text token, so the model continues a text "
        "that has already ended; pass add_bos_token=False in --model_args, or use another tokenizer"
    )


def with_end_of_text(lm: Any, requests: list[Instance]) -> list[Instance]:
    """For each forced request, a second one whose answer ends with end-of-text, not with its newline or mark.

    The list is empty if the target is the answer alone, without an ending, or if the model's tokenizer does
    not recognise the end-of-text token in text. lm-eval's Hugging Face models score both endings in one
    forward pass.
    """
    end = end_of_text(lm, "".join(requests[0].args)) if requests else None
    if end is None:
        return []
    first = 1 + max(request.idx for request in requests)
    return [
        Instance(
            request_type=request.request_type,
            doc=request.doc,
            arguments=(request.args[0], answer + end),
            idx=first + request.idx,
            metadata=request.metadata,
        )
        for request in requests
        if (answer := without_ending(request.args[1], request.doc.get("answer"))) is not None
    ]

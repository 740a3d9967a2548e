"""A forced answer may also end with the end-of-text token, as a generated one may."""

from typing import Any

from lm_eval.api.instance import Instance

from lm_eval_tasks.tokens import tokenizer_of


def with_end_of_text(lm: Any, requests: list[Instance]) -> list[Instance]:
    """For each forced request, one that ends the answer with end-of-text in place of its newline or mark.

    None where the target is the answer alone, which has no ending, and where the model's tokenizer does
    not read the end-of-text token in a text. lm-eval's Hugging Face models score both endings in one
    forward pass.
    """
    end = getattr(tokenizer_of(lm), "eos_token", None)
    if not isinstance(end, str) or not requests:
        return []
    prompt, target = requests[0].args
    if lm.tok_encode(f"{prompt}{target}{end}") != [*lm.tok_encode(prompt + target), lm.eot_token_id]:
        return []
    return [
        Instance(
            request_type=request.request_type,
            doc=request.doc,
            arguments=(request.args[0], answer + end),
            idx=1,
            metadata=request.metadata,
        )
        for request in requests
        if (answer := _without_ending(request)) is not None
    ]


def _without_ending(request: Instance) -> str | None:
    """The target without what follows the answer in it; None if nothing does."""
    target: str = request.args[1]
    answer = request.doc.get("answer")
    if not answer:
        return None
    before, found, ending = target.rpartition(answer)
    return target.removesuffix(ending) if found and ending and not before.strip() else None

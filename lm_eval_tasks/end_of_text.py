"""Scoring forced answers that end with the end-of-text token, as generated ones may."""

from typing import Any

from lm_eval.api.instance import Instance

from lm_eval_tasks.answer_ending import end_of_text, without_ending


def with_end_of_text(lm: Any, requests: list[Instance]) -> list[Instance]:
    """For each forced request, one whose answer ends with end-of-text instead of its newline or mark.

    There are none if the target is the answer alone, without an ending, or if the model's tokenizer does
    not recognise the end-of-text token in text. lm-eval's Hugging Face models score both endings in one
    forward pass.
    """
    end = end_of_text(lm, "".join(requests[0].args)) if requests else None
    if end is None:
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
        if (answer := without_ending(request.args[1], request.doc.get("answer"))) is not None
    ]

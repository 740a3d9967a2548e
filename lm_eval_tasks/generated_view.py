"""Requests whose answers the model generates."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lm_eval.api.instance import Instance

from lm_eval_tasks.backends import check_generation, is_api
from lm_eval_tasks.cleaned_spaces import keep_spaces
from lm_eval_tasks.context_window import generated_needs
from lm_eval_tasks.end_of_text import ended_prompt_warning
from lm_eval_tasks.max_new_tokens import max_new_tokens, set_max_new_tokens
from lm_eval_tasks.model_view import ModelView, Score, Scores
from lm_eval_tasks.padding import padding_warning
from lm_eval_tasks.reasoning import (
    may_reason,
    reasoning_advice,
    removes_reasoning,
    stops_reasoning,
    without_reasoning,
)
from lm_eval_tasks.repetition import repetition_warning
from lm_eval_tasks.state_names import lost_state_warning
from lm_eval_tasks.tokens import counts_tokens


class GeneratedView(ModelView):
    """Generation requests of one task for one model.

    Args:
        lm: an ``lm_eval.api.model.LM``.
        requests: the task's requests; the maximum number of new tokens of each is set.
        warn: called with each warning.
        documents: columns ``prompt`` and ``answer`` of all documents of the task.
        task_max_new_tokens: the task's own ``max_gen_toks``, if it has one.
        rule: the rule for the maximum if the task does not set one, see
            :func:`~lm_eval_tasks.max_new_tokens.max_new_tokens`.
        chat: whether a chat template is applied.

    Raises:
        InputError: the backend cannot run these requests, or the number of new tokens is invalid.
    """

    def __init__(
        self,
        lm: Any,
        requests: list[Instance],
        warn: Callable[[str], None],
        documents: Mapping[str, Sequence[Any]],
        task_max_new_tokens: int | None,
        rule: str | None,
        chat: bool,
    ) -> None:
        prompt, options = requests[0].args
        check_generation(lm, prompt)
        super().__init__(lm, requests, warn)
        limit = max_new_tokens(options, task_max_new_tokens, rule, documents, lm)
        for request in requests:
            set_max_new_tokens(request, limit)
        self._prompt = prompt if isinstance(prompt, str) else ""
        self._measure_window(lambda: generated_needs(lm, requests))
        self._leave_out_truncated()
        if rule is not None and not counts_tokens(lm):
            warn(
                f"the model's tokens cannot be counted, so answers may have {limit} tokens, one per byte; "
                "pass --gen_kwargs max_gen_toks=N to set another limit."
            )
        self._warn_if(keep_spaces(lm, documents["answer"] if "answer" in requests[0].doc else ()))
        self._warn_if(padding_warning(lm))
        self._warn_if(lost_state_warning(lm))
        if warning := repetition_warning(lm, options, from_server=is_api(lm)):
            self._warn_once(warning)
        if self._prompt and (warning := ended_prompt_warning(lm, self._prompt)):
            self.ended_prompts = True
            self._warn_once(warning)
        if chat and stops_reasoning(options.get("until", [])) and may_reason(lm):
            self._warn_once(
                "the chat template lets the model reason before it answers, but the task stops generation "
                f"at the first newline: {reasoning_advice(lm)}."
            )

    def scores(self, doc: dict[str, Any], results: Sequence[Any], score: Score) -> Scores:
        """The scores of the generated answers, without the reasoning before them."""
        if self.truncates(doc):
            scores = dict.fromkeys({"unanswered": 0.0} | score(doc, [""] * len(results)), 0.0)
            return {**scores, **self._shares(doc)}
        prompt = "" if removes_reasoning(self._lm) else self._prompt
        answers = [without_reasoning(result, prompt) for result in results]
        if None in answers:
            self._warn_once(
                "generation stopped before the model had finished reasoning, so there is no answer; "
                "'unanswered' "
                f"is the fraction of such documents: {reasoning_advice(self._lm)}."
            )
        texts = [answer or "" for answer in answers]
        unanswered = sum(not text.strip() for text in texts) / len(texts)
        return {"unanswered": unanswered} | score(doc, texts) | self._shares(doc)

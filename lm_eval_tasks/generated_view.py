"""Requests whose answers the model writes, as it sees them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lm_eval.api.instance import Instance

from lm_eval_tasks.answer_room import answer_room, set_room
from lm_eval_tasks.backends import check_generation
from lm_eval_tasks.context_window import generated_needs, shrink_request
from lm_eval_tasks.model_view import ModelView, Score, Scores
from lm_eval_tasks.padding import padding_warning
from lm_eval_tasks.reasoning import may_reason, reasoning_advice, without_reasoning
from lm_eval_tasks.tokens import counts_tokens


class GeneratedView(ModelView):
    """Requests whose answers the model writes.

    Args:
        lm: an ``lm_eval.api.model.LM``.
        requests: the task's requests; each gets room for its answer.
        warn: tells the user a sentence.
        documents: columns ``prompt`` and ``answer`` of all documents of the task.
        own_room: the task's own ``max_gen_toks``, if it has one.
        rule: the task's rule for it otherwise, see :func:`~lm_eval_tasks.answer_room.answer_room`.
        chat: whether a chat template is applied.

    Raises:
        InputError: the backend cannot take these requests, or the number of new tokens is not one.
    """

    def __init__(
        self,
        lm: Any,
        requests: list[Instance],
        warn: Callable[[str], None],
        documents: Mapping[str, Sequence[Any]],
        own_room: int | None,
        rule: str | None,
        chat: bool,
    ) -> None:
        prompt, options = requests[0].args
        check_generation(lm, prompt)
        super().__init__(lm, requests, warn)
        room = answer_room(options, own_room, rule, documents, lm)
        for request in requests:
            set_room(request, room)
        self._prompt = prompt if isinstance(prompt, str) else ""
        self._measure_window(lambda: generated_needs(lm, requests))
        for request in requests:
            if self._truncates(request.doc):
                shrink_request(request)
        if rule is not None and not counts_tokens(lm):
            warn(
                f"the model's tokens cannot be counted, so an answer may have {room} tokens, as if each byte "
                "were one; --gen_kwargs max_gen_toks=N sets another number."
            )
        self._warn_if(padding_warning(lm))
        if chat and options.get("until") and may_reason(lm):
            self._warn_once(
                "the chat template lets the model reason before it answers, and the task stops it at the "
                f"first line end: {reasoning_advice(lm)}."
            )

    def scores(self, doc: dict[str, Any], results: Sequence[Any], score: Score) -> Scores:
        """The scores of what the model wrote after its reasoning, if it did reason."""
        answer = without_reasoning(results[0], self._prompt)
        if answer is None:
            self._warn_once(
                "the model was stopped before it had ended its reasoning, so it gave no answer; 'unanswered' "
                f"says in how many documents: {reasoning_advice(self._lm)}."
            )
        scores = {"unanswered": float(not (answer or "").strip())} | score(doc, [answer or ""])
        if self._truncates(doc):
            scores = dict.fromkeys(scores, 0.0)
        return {**scores, **self._shares(doc)}

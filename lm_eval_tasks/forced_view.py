"""Forced requests: the model scores a given answer in one forward pass."""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from lm_eval.api.instance import Instance

from lm_eval_tasks.alignment import is_encoder_decoder, misaligned_warning, scored_tokens
from lm_eval_tasks.backends import check_forced
from lm_eval_tasks.context_window import forced_needs
from lm_eval_tasks.end_of_text import with_end_of_text
from lm_eval_tasks.model_view import ModelView, Score, Scores
from lm_eval_tasks.scoring import NAN_WARNING, UNBOUNDED
from lm_eval_tasks.tokens import counts_tokens


class ForcedView(ModelView):
    """Forced requests of one task for one model.

    Args:
        lm: an ``lm_eval.api.model.LM``.
        requests: the task's requests. If answers have an ending, requests that end with end-of-text
            instead are appended to the list.
        warn: called with each warning.

    Raises:
        InputError: the backend cannot score a given answer.
    """

    def __init__(self, lm: Any, requests: list[Instance], warn: Callable[[str], None]) -> None:
        check_forced(lm)
        super().__init__(lm, requests, warn)
        self._aligned: dict[str, bool] = {}
        self._answer_tokens: dict[str, list[int]] = defaultdict(list)
        scored = scored_tokens(lm, requests) if counts_tokens(lm) else []
        self._measure_window(lambda: forced_needs(lm, scored))
        if not scored:
            return
        for request, one in zip(requests, scored, strict=True):
            name = request.doc["id"]
            self._aligned[name] = one.aligned and self._aligned.get(name, True)
        self._warn_if(misaligned_warning(scored, is_encoder_decoder(lm)))
        endings = with_end_of_text(lm, requests)
        both = zip([*requests, *endings], [*scored, *scored_tokens(lm, endings)], strict=True)
        for request, one in both:
            self._answer_tokens[request.doc["id"]].append(one.answer)
        requests.extend(endings)
        self._leave_out_truncated()
        self._keeps_logprobs = self._every_process_has_a_logprob()

    def scores(self, doc: dict[str, Any], results: Sequence[Any], score: Score) -> Scores:
        """The scores of the given answers, each with the more likely of its two endings."""
        if self.truncates(doc):
            results = [(0.0, False)] * len(results)
        elif any(math.isnan(logprob) for logprob, _ in results):
            self._warn_once(NAN_WARNING)
            results = [(logprob, is_greedy and not math.isnan(logprob)) for logprob, is_greedy in results]
        if not self._aligned:
            return {**score(doc, results), **self._shares(doc)}
        scores = score({**doc, "answer_tokens": self._answer_tokens[doc["id"]]}, results)
        if self.truncates(doc):  # a task's own score may be above 0 for log-probabilities of 0
            scores = dict.fromkeys(scores, 0.0)
        if self.truncates(doc) or not self._keeps_logprobs:
            scores = {name: value for name, value in scores.items() if name not in UNBOUNDED}
        return {**scores, **self._shares(doc), "misaligned": float(not self._aligned[doc["id"]])}

    def _every_process_has_a_logprob(self) -> bool:
        """Whether every process has a log-probability: otherwise, lm-eval could not gather this metric."""
        fits = any(not self.truncates(request.doc) for request in self._requests)
        if self._lm.world_size == 1:
            return fits
        import torch

        return bool(self._lm.all_gather(torch.tensor(int(fits), device=self._lm.device)).min())

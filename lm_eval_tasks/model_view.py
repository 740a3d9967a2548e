"""A task's documents for one model: which fit its window, which tokens are scored, which cannot be encoded.

A view is created when the requests are built. It limits the length of answers, leaves out requests that
do not fit, warns the user before the model runs, and completes the scores of each document.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from lm_eval.api.instance import Instance

from lm_eval_tasks.begin_of_text import missing_begin_warning
from lm_eval_tasks.context_window import (
    ContextWindow,
    leave_out,
    run_shortest,
    window_tokens,
)
from lm_eval_tasks.unknown_tokens import check_tokenizer, unknown_characters, unknown_warning

Scores = dict[str, float]
Score = Callable[[dict[str, Any], Any], Scores]

_warned: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()


class ModelView(ABC):
    """The requests of one task for one model.

    Args:
        lm: an ``lm_eval.api.model.LM``.
        requests: all requests of this process, in lm-eval's order, with the same number for each document.
            Requests of several questions on one document have the document's id.
        warn: called with each warning.

    Raises:
        InputError: the model's tokenizer returns no tokens.

    Attributes:
        window: the model's context window and the documents' needs; None if unknown.
        ended_prompts: whether the prompts end with the model's end-of-text token.
    """

    window: ContextWindow | None = None
    ended_prompts = False

    def __init__(self, lm: Any, requests: list[Instance], warn: Callable[[str], None]) -> None:
        self._lm = lm
        self._requests = requests
        self._warn = warn
        documents = list({request.doc["id"]: request.doc for request in reversed(requests)}.values())
        check_tokenizer(lm, documents)
        if warning := missing_begin_warning(lm, requests[0].args[0]):
            self._warn_once(warning)
        found = unknown_characters(lm, documents)
        self._unknown: dict[str, float] | None = None
        if found is not None:
            self._unknown = {
                doc["id"]: float(one.unknown > 0) for doc, one in zip(documents, found, strict=True)
            }
            self._warn_if(unknown_warning(found))

    @abstractmethod
    def scores(self, doc: dict[str, Any], results: Sequence[Any], score: Score) -> Scores:
        """The scores of one document.

        Args:
            doc: the document.
            results: the model's response to each request.
            score: the task's own scoring function, which takes both.
        """

    def _measure_window(self, needs: Callable[[], Sequence[int]]) -> None:
        """Compare the requests with the window, and warn about those that do not fit.

        Args:
            needs: function that returns the number of tokens that each request needs; called only if tokens
                can be counted.
        """
        tokens = window_tokens(self._lm)
        if tokens is None:
            self._warn_once(
                "lm-eval does not know this model's context window, so truncated prompts cannot be counted, "
                "and the results contain no 'truncated'. If the model accepts them, pass tokenizer= and "
                "max_length= in --model_args."
            )
            return
        needed: dict[str, int] = {}
        for request, tokens_needed in zip(self._requests, needs(), strict=True):
            name = request.doc["id"]
            needed[name] = max(tokens_needed, needed.get(name, 0))
        self.window = ContextWindow(tokens, needed)
        self._warn_if(self.window.warning)

    def _leave_out_truncated(self) -> None:
        """Make lm-eval skip the requests that do not fit."""
        truncated = [request for request in self._requests if self.truncates(request.doc)]
        leave_out(self._lm, truncated)
        if truncated and len(truncated) == len(self._requests):
            run_shortest(truncated[0])

    def truncates(self, doc: Mapping[str, Any]) -> bool:
        """Whether a document is known not to fit the window."""
        return self.window is not None and self.window.truncates(doc["id"])

    def _shares(self, doc: Mapping[str, Any]) -> Scores:
        """The scores that forced and generated requests have in common."""
        shares = {}
        if self.window is not None:
            shares["truncated"] = float(self.window.truncates(doc["id"]))
        if self._unknown is not None:
            shares["unknown_tokens"] = self._unknown[doc["id"]]
        return shares

    def _warn_if(self, sentence: str | None) -> None:
        if sentence is not None:
            self._warn(sentence)

    def _warn_once(self, sentence: str) -> None:
        """Warn, unless another task of the run has already given this warning."""
        warned = _warned.setdefault(self._lm, set())
        if sentence not in warned:
            warned.add(sentence)
            self._warn(sentence)

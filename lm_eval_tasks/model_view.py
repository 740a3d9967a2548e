"""How the model that runs sees a task's documents: what fits, what is scored, what it cannot read.

A view is made once the requests are built. It sets the requests' room, cuts down those that cannot
count, says what the user should know before the model runs, and completes the scores of each document.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from lm_eval.api.instance import Instance

from lm_eval_tasks.context_window import Window, window_tokens
from lm_eval_tasks.unknown_tokens import unknown_characters, unknown_warning

Scores = dict[str, float]
Score = Callable[[dict[str, Any], Any], Scores]

_said: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()


class ModelView(ABC):
    """One task's requests as one model sees them.

    Args:
        lm: an ``lm_eval.api.model.LM``.
        requests: every request of this process, in lm-eval's order, one for each document.
        warn: tells the user a sentence.

    Attributes:
        window: which documents fit; None where that cannot be known.
    """

    window: Window | None = None

    def __init__(self, lm: Any, requests: list[Instance], warn: Callable[[str], None]) -> None:
        self._lm = lm
        self._requests = requests
        self._warn = warn
        documents = [request.doc for request in requests]
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
            results: what the model answered to each of its requests.
            score: the task's own function of both.
        """

    def _measure_window(self, needs: Callable[[], Sequence[int]]) -> None:
        """Hold the requests against the window, and warn of those that do not fit.

        Args:
            needs: gives the tokens that each request needs, where tokens can be counted.
        """
        tokens = window_tokens(self._lm)
        if tokens is None:
            self._warn_once(
                "lm-eval does not know this model's window in tokens, so prompts that the model or its "
                "server cuts cannot be counted, and the results have no 'truncated'. Where the model takes "
                "them, tokenizer= and max_length= in --model_args tell it."
            )
            return
        needed = {request.doc["id"]: n for request, n in zip(self._requests, needs(), strict=True)}
        self.window = Window(tokens, needed)
        self._warn_if(self.window.warning)

    def _truncates(self, doc: Mapping[str, Any]) -> bool:
        return self.window is not None and self.window.truncates(doc["id"])

    def _shares(self, doc: Mapping[str, Any]) -> Scores:
        """The document's part in the shares that both kinds of requests have."""
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
        """Warn, unless this was said of the model before, by another task of the run."""
        said = _said.setdefault(self._lm, set())
        if sentence not in said:
            said.add(sentence)
            self._warn(sentence)

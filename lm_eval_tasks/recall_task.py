"""The class behind every YAML task of this package: one benchmark at one length.

The YAML file says what is asked and how it is scored. This class adds what lm-eval leaves to chance:
metadata keys are checked, the documents are the benchmark's or the run stops, a backend that cannot run
the task is refused, and a document that the model did not see whole, did not answer, or that its
tokenizer cannot spell is counted.
"""

import logging
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from datasets import Dataset
from lm_eval.api.task import ConfigurableTask

from dataset_builders import InputError
from dataset_builders.checksum import content_sha256
from lm_eval_tasks import lm_eval_run as harness
from lm_eval_tasks.forced_view import ForcedView
from lm_eval_tasks.generated_view import GeneratedView
from lm_eval_tasks.model_view import ModelView
from lm_eval_tasks.task_documents import TaskDocuments
from lm_eval_tasks.task_metadata import asked_of_the_documents

log = logging.getLogger("lm_eval.repeat_after_me")  # below lm-eval's own: its format, its verbosity


class RecallTask(ConfigurableTask):
    """A task of one benchmark at one length.

    Its YAML file says, beside lm-eval's own fields:

    - ``dataset_path`` (the benchmark), ``dataset_name`` and ``dataset_kwargs``: the three parts of
      :class:`~lm_eval_tasks.task_documents.TaskDocuments`. Each row has a unique ``id``.
    - ``metadata``: ``version``, ``benchmark`` (a report draws its tasks as one line) and
      ``length_of`` (the builder's parameter that is the length), ``unit`` where that is called by
      another name in reports, and ``new_tokens`` where their number is none for the YAML file to know:
      see :func:`~lm_eval_tasks.answer_room.answer_room`.
    - ``process_results``: a pure function of the document and the results that gives scores from 0
      to 1. A forced task's document has one more key, ``answer_tokens``, a number for each result, and
      its function may give ``logprob_per_token`` too.

    The results also hold shares of documents, of which smaller is better. A share is left out where it
    cannot be known.

    - ``truncated``: the document did not fit the model's window. Its scores are 0, and it has no
      ``logprob_per_token``.
    - ``unknown_tokens``: the model's tokenizer does not know some of its characters.
    - ``unanswered`` (generated): the answer is empty, or cut off within the model's reasoning.
    - ``misaligned`` (forced): the scored tokens are not those of the answer alone.

    Args:
        config: the YAML file's content, with lm-eval's additions.
        asked: what the user asked of the documents; None to find it in the run.

    Raises:
        InputError: the documents cannot be had, or are not the benchmark's.
    """

    def __init__(self, config: Mapping[str, Any], asked: Mapping[str, Any] | None = None) -> None:
        harness.print_input_errors_as_sentences()
        self._asked = asked
        self._own_room = (config.get("generation_kwargs") or {}).get("max_gen_toks")
        self._view: ModelView | None = None
        super().__init__(config={key: value for key, value in config.items() if key != "class"})

    def download(self, *_: Any, **__: Any) -> None:
        """Get the documents, and note in the metadata, hence in the results file, what they are."""
        if getattr(self, "dataset", None) is not None:
            return  # lm-eval's acceptance tests of tasks call this again
        source = TaskDocuments.of(self.config)
        metadata = self.config.metadata
        try:
            asked = asked_of_the_documents(metadata) if self._asked is None else self._asked
            rows, arguments = source.documents(asked)
        except InputError as error:
            raise self._refusal(error) from None
        if len({row["id"] for row in rows}) < len(rows):
            raise self._refusal("the source repeats an id; give each question one of its own")
        self.dataset = {"test": Dataset.from_list(rows)}
        for key in set(source.keys) - set(arguments):
            metadata.pop(key, None)  # an argument of the model's, which lm-eval mixes into the metadata
        metadata.update(
            arguments,
            length=arguments[source.benchmark.lengths.parameter],
            documents_sha256=content_sha256(rows),
            repeat_after_me=version("repeat-after-me"),
        )

    def build_all_requests(self, **options: Any) -> None:
        """Build the requests, then hold each against the model that will get them.

        They are always built anew: lm-eval's ``--cache_requests`` finds them by the task's name, and would
        give those of other documents, generation settings or chat templates.
        """
        super().build_all_requests(**{**options, "cache_requests": False})
        lm = harness.running_model()
        if lm is None:
            return
        try:
            self._view = self._view_of(lm, chat=bool(options.get("apply_chat_template")))
        except InputError as error:
            raise self._refusal(error) from None

    def _view_of(self, lm: Any, chat: bool) -> ModelView:
        if self.OUTPUT_TYPE == "loglikelihood":
            return ForcedView(lm, self.instances, self._warn)
        return GeneratedView(
            lm,
            self.instances,
            self._warn,
            documents=self.dataset["test"],
            own_room=self._own_room,
            rule=self.config.metadata.get("new_tokens"),
            chat=chat,
        )

    def process_results(self, doc: dict[str, Any], results: Any) -> dict[str, float]:
        """Scores of one document; those of a document that the model could not see whole are 0."""
        score = super().process_results
        return score(doc, results) if self._view is None else self._view.scores(doc, results, score)

    def _warn(self, sentence: str) -> None:
        log.warning("%s: %s", self.config.task, sentence)

    def _refusal(self, reason: object) -> InputError:
        return InputError(f"{self.config.task}: {reason}")

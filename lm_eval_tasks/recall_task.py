"""The class of every YAML task of this package: one benchmark at one length.

The YAML file defines prompts and scoring. This class adds checks that lm-eval does not make: unknown metadata
keys, documents that differ from the benchmark's, and backends that cannot run the task stop the run;
documents that are truncated or unanswered, or that the model's tokenizer cannot encode, are counted.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from datasets import Dataset
from lm_eval.api.task import ConfigurableTask

from dataset_builders import InputError
from dataset_builders.checksum import content_sha256
from lm_eval_tasks import lm_eval_run as harness
from lm_eval_tasks import timing
from lm_eval_tasks.answer_start import after_chat_template, space_warning
from lm_eval_tasks.backends import check_chat_template
from lm_eval_tasks.forced_view import ForcedView
from lm_eval_tasks.generated_view import GeneratedView
from lm_eval_tasks.model_view import ModelView
from lm_eval_tasks.questions import questions_of, with_other_prompt
from lm_eval_tasks.state_size import before_query, state_bytes
from lm_eval_tasks.task_documents import TaskDocuments
from lm_eval_tasks.task_metadata import read_user_metadata
from lm_eval_tasks.weights_checksum import weights_checksum

log = logging.getLogger("lm_eval.repeat_after_me")  # a child of lm-eval's logger: same format and verbosity


class RecallTask(ConfigurableTask):
    """A task of one benchmark at one length.

    Its YAML file has, besides lm-eval's own fields:

    - ``dataset_path`` (the benchmark), ``dataset_name`` and ``dataset_kwargs``: the fields of
      :class:`~lm_eval_tasks.task_documents.TaskDocuments`. Each row has a unique ``id``.
    - ``metadata``: ``version``; ``benchmark`` (reports plot its tasks as one line); ``length_of`` (the
      builder's parameter that is the length); ``unit``, if reports use another name for the length; and
      ``new_tokens``, if the maximum number of new tokens depends on the documents (see
      :func:`~lm_eval_tasks.max_new_tokens.max_new_tokens`).
    - ``process_results``: a pure function of the document and the results that returns scores from 0
      to 1. The documents of a forced task have an additional key, ``answer_tokens``, with one number per
      result, and the function may also return ``logprob_per_token`` and ``nats_gained``.

    The results also contain fractions of documents, for which lower is better. A fraction that cannot be
    determined is omitted.

    - ``truncated``: the document did not fit the model's context window. Its scores are 0, and it has no
      ``logprob_per_token`` or ``nats_gained``.
    - ``unknown_tokens``: the document contains characters that the model's tokenizer does not know.
    - ``unanswered`` (generated): the answer is empty, or generation stopped within the model's reasoning.
    - ``misaligned`` (forced): the scored tokens are not exactly those of the answer.

    The metadata in the result file also contains

    - ``state_bytes``, if it can be measured: the bytes of state that the model keeps of the first document
      before it reads the query;
    - ``no_state``, if the model does not show its state: the reason;
    - ``samples``, a checksum of the indices in lm-eval's ``--samples``, if it was passed;
    - ``weights``, if they are ordinary PyTorch tensors in this process: see
      :func:`~lm_eval_tasks.weights_checksum.weights_checksum`;
    - ``timing``, if the user's metadata requests it: see
      :class:`~lm_eval_tasks.results.timing_record.Timing`;
    - ``ended_prompts``, which is true if the model's tokenizer ended each prompt with end-of-text, so that
      generated answers say nothing about the model.

    Args:
        config: the YAML file's content, with lm-eval's additions.
        user_metadata: the user's metadata; None to take it from the run.

    Raises:
        InputError: the documents cannot be built or loaded, or are not the benchmark's.
    """

    def __init__(self, config: Mapping[str, Any], user_metadata: Mapping[str, Any] | None = None) -> None:
        harness.print_input_errors_as_sentences()
        self._user_metadata = user_metadata
        self._timing: object = None
        self._task_max_new_tokens = (config.get("generation_kwargs") or {}).get("max_gen_toks")
        self._view: ModelView | None = None
        self._questions = questions_of(config)
        super().__init__(config={key: value for key, value in config.items() if key != "class"})

    def download(self, *_: Any, **__: Any) -> None:
        """Build or load the documents, and record their arguments and checksum in the result file."""
        if getattr(self, "dataset", None) is not None:
            return  # lm-eval's acceptance tests call this again
        source = TaskDocuments.of(self.config, (timing.KEY,))
        metadata = self.config.metadata
        try:
            user_metadata = dict(
                read_user_metadata(metadata) if self._user_metadata is None else self._user_metadata
            )
            self._timing = user_metadata.pop(timing.KEY, None)
            rows, arguments = source.documents(user_metadata)
        except InputError as error:
            raise self._refusal(error) from None
        if len({row["id"] for row in rows}) < len(rows):
            raise self._refusal("the source contains an id twice; make the ids unique")
        self.dataset = {"test": Dataset.from_list(rows)}
        for key in set(source.keys) - set(arguments):
            metadata.pop(key, None)  # an argument of the model, which lm-eval merges into the metadata
        metadata.update(
            arguments,
            length=arguments[source.benchmark.lengths.parameter],
            documents_sha256=content_sha256(rows),
            repeat_after_me=version("repeat-after-me"),
        )

    def construct_requests(self, doc: dict[str, Any], ctx: Any, **options: Any) -> Any:
        """The requests of one document: several if it has several questions or measures nats gained."""
        if self._questions is None:
            return self._request(doc, ctx, **options)
        requests = []
        for number, question in enumerate(self._questions(doc)):
            prompt = with_other_prompt(ctx, doc["prompt"], question["prompt"])
            request = self._request(question, prompt, **options)
            request.idx = number
            requests.append(request)
        return requests

    def _request(self, doc: dict[str, Any], ctx: Any, **options: Any) -> Any:
        request = super().construct_requests(doc, ctx, **options)
        if options.get("apply_chat_template") and self.OUTPUT_TYPE == "loglikelihood":
            request.arguments = after_chat_template(*request.args)
        return request

    def build_all_requests(self, **options: Any) -> None:
        """Build the requests, then check them for the model.

        They are never cached: lm-eval's ``--cache_requests`` identifies them by the task's name, and would
        return requests of other documents, generation settings or chat templates.
        """
        lm = harness.running_model()
        chat = bool(options.get("apply_chat_template"))
        try:
            if chat and lm is not None:
                check_chat_template(lm)
            super().build_all_requests(**{**options, "cache_requests": False})
            if lm is None:
                return
            self._view = self._view_of(lm, chat)
        except InputError as error:
            raise self._refusal(error) from None
        if chat and self.OUTPUT_TYPE == "loglikelihood":
            self._warn_of_space()
        if self._view.ended_prompts:
            self.config.metadata["ended_prompts"] = True
        if options.get("samples"):
            chosen = json.dumps(sorted(set(options["samples"]))).encode()
            self.config.metadata["samples"] = hashlib.sha256(chosen).hexdigest()[:8]
        if (checksum := weights_checksum(lm)) is not None:
            self.config.metadata["weights"] = checksum
        self._measure_state(lm)
        self._measure_time(lm)

    def _warn_of_space(self) -> None:
        warning = space_warning(self.instances[0].args[0])
        if warning is not None:
            self._warn(warning)

    def _view_of(self, lm: Any, chat: bool) -> ModelView:
        if self.OUTPUT_TYPE == "loglikelihood":
            return ForcedView(lm, self.instances, self._warn)
        return GeneratedView(
            lm,
            self.instances,
            self._warn,
            documents=self.dataset["test"],
            task_max_new_tokens=self._task_max_new_tokens,
            rule=self.config.metadata.get("new_tokens"),
            chat=chat,
        )

    def _measure_state(self, lm: Any) -> None:
        """Record in the result file the bytes of the model's state after the first document, if it fits."""
        request = self.instances[0]
        prompt = request.args[0]
        if not isinstance(prompt, str) or self._view is None or self._view.truncates(request.doc):
            return
        evaluation = TaskDocuments.of(self.config).benchmark.evaluation
        if evaluation.position is not None or evaluation.questions is not None:
            prompt = before_query(prompt, request.doc)
        try:
            size = state_bytes(lm, prompt)
        except InputError as error:
            self.config.metadata["no_state"] = str(error)
            return
        if size is not None:
            self.config.metadata["state_bytes"] = size

    def _measure_time(self, lm: Any) -> None:
        """Record the model's speed in the result file, if the user's metadata requests it."""
        prompts = [
            request.args[0]
            for request in self.instances
            if isinstance(request.args[0], str) and self._view and not self._view.truncates(request.doc)
        ]
        try:
            batches = timing.batch_sizes(self._timing, getattr(lm, "batch_size", None))
            found = timing.time_model(lm, prompts, batches, self._warn) if batches else []
        except InputError as error:
            raise self._refusal(error) from None
        if found:
            self.config.metadata[timing.KEY] = [one.model_dump() for one in found]

    def process_results(self, doc: dict[str, Any], results: Any) -> dict[str, float]:
        """The scores of one document, which are 0 if it was truncated."""
        score = super().process_results
        return score(doc, results) if self._view is None else self._view.scores(doc, results, score)

    def _warn(self, sentence: str) -> None:
        log.warning("%s: %s", self.config.task, sentence)

    def _refusal(self, reason: object) -> InputError:
        return InputError(f"{self.config.task}: {reason}")

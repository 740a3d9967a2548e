"""The class behind every YAML task of this package: one benchmark at one length.

The YAML file says what is asked and how it is scored. This class adds what lm-eval leaves to chance:
metadata keys are checked, the documents are the benchmark's or the run stops, a prompt that does not
fit the model's window is reported and counts as wrong.
"""

import logging
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from datasets import Dataset
from lm_eval.api.task import ConfigurableTask
from lm_eval.utils import warning_once

from dataset_builders import InputError
from dataset_builders.checksum import content_sha256
from lm_eval_tasks import lm_eval_run as harness
from lm_eval_tasks.context_window import NEW_TOKENS, Size, ask_little, sizes_of, token_counts, window_of
from lm_eval_tasks.padding import padding_dependence
from lm_eval_tasks.task_documents import TaskDocuments

log = logging.getLogger("lm_eval.repeat_after_me")  # below lm-eval's own: its format, its verbosity

_YAML_METADATA = frozenset({"version", "benchmark", "length_of", "unit", "new_tokens", "config_source"})


class RecallTask(ConfigurableTask):
    """A task of one benchmark at one length.

    Its YAML file says, beside lm-eval's own fields:

    - ``dataset_path`` (the benchmark), ``dataset_name`` and ``dataset_kwargs``: the three parts of
      :class:`~lm_eval_tasks.task_documents.TaskDocuments`. Each row has a unique ``id``.
    - ``metadata``: ``version``, ``benchmark`` (a report draws its tasks as one line) and
      ``length_of`` (the builder's parameter that is the length), ``unit`` where that is called by
      another name in reports, and ``new_tokens`` where their number is none for the YAML file to know:
      ``half_prompt``, half as many as the longest prompt has and 50 more, or ``answer``, as many as the
      longest answer has and 10 more.
    - ``process_results``: a pure function of the document and the results that gives scores from 0
      to 1. A forced task's document has one more key, ``answer_tokens``, and its function may give
      ``logprob_per_token`` too.

    In the results, ``truncated`` is the share of documents that did not fit the model's window; their
    scores are 0, and they have no ``logprob_per_token``.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._window: int | None = None
        self._sizes: dict[str, Size] = {}
        super().__init__(config={key: value for key, value in config.items() if key != "class"})

    def download(self, *_: Any, **__: Any) -> None:
        """Get the documents, and note in the metadata, hence in the results file, what they are."""
        if getattr(self, "dataset", None) is not None:
            return  # lm-eval's acceptance tests of tasks call this again
        source = TaskDocuments.of(self.config)
        metadata = self.config.metadata
        try:
            rows, arguments = source.documents(self._asked(source))
        except InputError as error:
            raise InputError(f"{self.config.task}: {error}") from None
        if len({row["id"] for row in rows}) < len(rows):
            raise InputError(
                f"{self.config.task}: the source repeats an id; give each question one of its own"
            )
        self.dataset = {"test": Dataset.from_list(rows)}
        metadata.update(
            arguments,
            length=arguments[source.benchmark.lengths.parameter],
            documents_sha256=content_sha256(rows),
            repeat_after_me=version("repeat-after-me"),
        )

    def _asked(self, source: TaskDocuments) -> dict[str, Any]:
        """What ``--metadata`` holds, without the model's arguments, which lm-eval mixes into it."""
        model_arguments = harness.model_arguments()
        asked = {k: v for k, v in self.config.metadata.items() if k not in _YAML_METADATA}
        for key in set(asked) & set(model_arguments):
            if asked[key] != model_arguments[key]:
                continue
            del asked[key]
            if key in source.keys and key not in source.fixed:
                warning_once(
                    log,
                    f"{key}={model_arguments[key]} is taken as the model's argument; the documents' own "
                    f"{key!r} is another one, and --metadata sets it where it differs from the model's",
                )
        return asked

    def build_all_requests(self, **options: Any) -> None:
        """Build the requests, then hold each against the window of the model that will get them."""
        super().build_all_requests(**options)
        self._check_cache(options)
        lm = harness.running_model()
        self._window = window_of(lm)
        self._make_room(lm)
        if self._window is not None:
            for request, size in zip(self.instances, sizes_of(lm, self.instances), strict=True):
                self._sizes[request.doc["id"]] = size
                if size.needed > self._window:
                    ask_little(request)
        self._warn_of_truncation()
        self._warn_of_padding(lm)

    def _check_cache(self, options: Mapping[str, Any]) -> None:
        """Refuse requests of other documents, which lm-eval's cache gives under the same task's name."""
        if not options.get("cache_requests"):
            return
        documents = self.dataset["test"]
        prompts = dict(zip(documents["id"], documents["prompt"], strict=True))
        selected = {key: options[key] for key in ("rank", "limit", "world_size", "samples") if key in options}
        same = all(prompts.get(r.doc["id"]) == r.doc["prompt"] for r in self.instances)
        if not same or len(self.instances) != sum(1 for _ in self.doc_iterator(**selected)):
            raise InputError(
                f"{self.config.task}: lm-eval's cache holds requests of other documents than were asked for; "
                "pass --cache_requests refresh"
            )

    def _make_room(self, lm: Any) -> None:
        """Set the number of new tokens, one for all documents so that lm-eval puts them in one batch."""
        rule = self.config.metadata.get("new_tokens")
        if rule is None or NEW_TOKENS & set(self.instances[0].args[1]):  # the latter by --gen_kwargs
            return
        texts = [r.args[0] if rule == "half_prompt" else f" {r.doc['answer']}" for r in self.instances]
        longest = max(token_counts(lm, texts) if self._window is not None else map(len, texts))
        room = longest // 2 + 50 if rule == "half_prompt" else longest + 10
        for request in self.instances:
            request.args[1]["max_gen_toks"] = room

    def process_results(self, doc: dict[str, Any], results: Any) -> dict[str, float]:
        """Scores of one document; those of a document that the model could not see whole are 0."""
        if self._window is None:
            return super().process_results(doc, results)
        size = self._sizes[doc["id"]]
        truncated = size.needed > self._window
        scores = super().process_results({**doc, "answer_tokens": size.answer}, results)
        if truncated:
            scores = {name: 0.0 for name in scores if name != "logprob_per_token"}
        return {**scores, "truncated": float(truncated)}

    def _warn_of_truncation(self) -> None:
        task = self.config.task
        if self._window is None:
            log.warning(
                "%s: this model does not tell its window in tokens, so prompts that it cuts cannot be "
                "counted, and the results have no 'truncated'.",
                task,
            )
            return
        cut = sum(size.needed > self._window for size in self._sizes.values())
        if cut:
            log.warning(
                "%s: %d of %d prompts do not fit the model's window of %d tokens with their answers; "
                "they count as wrong, and 'truncated' says how many; pass max_length= in --model_args "
                "if the model can read more.",
                task,
                cut,
                len(self._sizes),
                self._window,
            )

    def _warn_of_padding(self, lm: Any) -> None:
        if self.OUTPUT_TYPE != "generate_until" or getattr(lm, "batch_size", 1) == 1:
            return
        cause = padding_dependence(lm)
        if cause:
            log.warning(
                "%s: the answers of %s depend on the padding of the batch; pass --batch_size 1, or run the "
                "forced tasks, which pad on the right.",
                self.config.task,
                cause,
            )

"""``evaluate``: the accuracy of a saved model by length, as a table and as a file."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from dataset_builders import InputError
from dataset_builders.checks import check_integer
from dataset_builders.files import check_new_file, write_json
from synthetic_training.config import MQAR
from synthetic_training.evaluation.config import EvaluateConfig
from synthetic_training.evaluation.saved_model import model_folder, training_settings, use_lm_eval

_MEANS = ("string_accuracy", "letter_accuracy", "exact_match")
_NOTE = """\
String accuracy: every letter of the answer is correct. Letter accuracy: mean fraction of correct letters.
Exact match: every letter is correct and the answer ends there, as in lm-eval.
"""
_MQAR_NOTE = "Accuracy: fraction of queries that are answered correctly.\n"
_INTERVALS = "Brackets: 95% confidence intervals over examples (Wilson)."


def evaluate(config: EvaluateConfig) -> dict[str, Any]:
    """Evaluate a model, return the result, and write it to ``config.out`` if set.

    Returns:
        ``config``; ``training``, the training settings of the model, or None; ``results``, one
        ``LengthScore`` per length as a dict; and the fields of ``provenance``.

    Raises:
        InputError: the checkpoint cannot be loaded, a value is out of range, or ``config.out`` exists.
    """
    if config.out is not None:
        check_new_file(config.out)
    check_integer("num_examples", config.num_examples, 2, 2**31)
    check_integer("batch_size", config.batch_size, 1, 2**31)
    folder = model_folder(config.checkpoint)
    trained = training_settings(folder)
    if trained and trained.get("task") == "documents":
        raise InputError(f"the model in {folder} was trained on documents of bytes; {use_lm_eval(folder)}")
    from synthetic_training.models.user_code import import_packages

    import_packages(config.imports)

    from synthetic_training.evaluation.mqar import mqar_scores
    from synthetic_training.evaluation.strings import string_scores
    from synthetic_training.memory import enough_memory
    from synthetic_training.provenance import provenance

    trained_on_mqar = trained is not None and trained.get("task") == MQAR and config.task in (None, MQAR)
    scores = mqar_scores if trained_on_mqar else string_scores
    with enough_memory("reduce batch_size"):
        results, settings = scores(config, folder, trained or {})

    content = {
        "kind": "evaluation",
        "config": settings,
        "training": trained,
        "results": [asdict(result) for result in results],
        **provenance(),
    }
    if config.out is not None:
        write_json(config.out, content)
    return content


def table(results: Sequence[Mapping[str, Any]], *, mqar: bool = False) -> str:
    """The results of ``evaluate`` as a Markdown table of means with 95% confidence intervals.

    Args:
        results: scores by length.
        mqar: whether lengths are numbers of pairs, and all accuracies are the same.
    """
    from dataset_builders.intervals import bounded_interval, with_interval
    from dataset_builders.markdown import markdown_table

    means = _MEANS[:1] if mqar else _MEANS
    names = ["accuracy"] if mqar else [mean.replace("_", " ") for mean in means]
    headers = ["pairs" if mqar else "length", "examples", *names]
    lines = []
    for one in results:
        ends = {m: bounded_interval(one[m], one[f"{m}_stderr"], one["num_examples"]) for m in means}
        lines.append(
            [one["length"], one["num_examples"], *(with_interval(one[m], ends[m], 3) for m in means)]
        )
    return f"{markdown_table(headers, lines)}\n\n{_MQAR_NOTE if mqar else _NOTE}{_INTERVALS}"

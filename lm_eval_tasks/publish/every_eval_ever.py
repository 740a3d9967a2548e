"""Checked scores as one record of Every Eval Ever, a shared schema for evaluation results.

The schema is ``eval.schema.json`` of the package ``every-eval-ever``. This module writes version
``SCHEMA_VERSION`` of it without the package, which requires Python 3.12.
"""

import json
from collections.abc import Sequence
from typing import Any

from lm_eval_tasks.publish.eligibility import is_on_hub
from lm_eval_tasks.publish.submission import model_notes
from lm_eval_tasks.results.score import SHARES, Run, Score, is_proportion

SCHEMA_VERSION = "0.3.0"

_METRIC_IDS = {"exact_match": "exact-match", "em": "exact-match", "f1": "f1"}
"""Ids from the schema's registry of metrics; ids of metrics that are not in it start with our name."""

_METRIC_KINDS = {"exact_match": "accuracy", "em": "accuracy", "f1": "f1"}

_ENGINES = {"hf": "transformers", "vllm": "vllm"}
"""Inference library by lm-eval's ``--model``, where it is known."""


def record(
    scores: Sequence[Score],
    model: str,
    dataset: str,
    *,
    retrieved: float,
    revision: str | None = None,
    organization: str | None = None,
) -> dict[str, Any]:
    """The record of one model's checked scores, with every metric between 0 and 1 of every task.

    Args:
        scores: checked scores of one model.
        model: the model's name on the Hub, ``ORG/NAME``.
        dataset: the released data set's name on the Hub.
        retrieved: time at which the record is created, in seconds since 1970.
        revision: commit of the data set.
        organization: organization that ran the evaluation; None if unknown.
    """
    run = max((score.run for score in scores), key=lambda run: run.date)
    return {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": f"repeat-after-me/{model}/{int(retrieved)}",
        "evaluation_timestamp": str(int(run.date)),
        "retrieved_timestamp": str(int(retrieved)),
        "source_metadata": {
            "source_name": "repeat-after-me",
            "source_type": "evaluation_run",
            "source_organization_name": organization or "unknown",
            "evaluator_relationship": _relationship(organization, model),
        },
        "eval_library": {
            "name": "lm_eval",
            "version": run.versions.get("lm-eval", "unknown"),
            "additional_details": {"repeat_after_me": str(scores[0].metadata["repeat_after_me"])},
        },
        "model_info": _model_info(run, model),
        "evaluation_results": [
            _result(score, metric, dataset, revision)
            for score in scores
            for metric, (value, _) in score.values.items()
            if metric not in SHARES and value is not None and is_proportion(metric)
        ],
    }


def _relationship(organization: str | None, model: str) -> str:
    if organization is None:
        return "other"
    return "first_party" if organization.lower() == model.split("/")[0].lower() else "third_party"


def _model_info(run: Run, model: str) -> dict[str, Any]:
    engine = _ENGINES.get(run.backend or "")
    info: dict[str, Any] = {"name": model, "id": model, "developer": model.split("/")[0]}
    if engine is not None:
        info["inference_engine"] = {"name": engine}
        if engine in run.versions:
            info["inference_engine"]["version"] = run.versions[engine]
    info["additional_details"] = {
        "deployment_type": "unknown" if engine is None else "self_deployed",
        "model_availability": "open_weights" if engine and is_on_hub(run.model) else "unknown",
        "loaded_as": "; ".join(model_notes(run)),
    }
    return info


def _result(score: Score, metric: str, dataset: str, revision: str | None) -> dict[str, Any]:
    value, error = score.values[metric]
    details = {"config": score.task, "documents_sha256": score.document_set}
    if revision is not None:
        details["revision"] = revision
    uncertainty: dict[str, Any] = {"num_samples": score.documents}
    if error is not None:
        uncertainty["standard_error"] = {"value": error, "method": "analytic"}
    details_of_score: dict[str, Any] = {"score": value, "uncertainty": uncertainty}
    if score.limited:
        details_of_score["details"] = {"limited": f"{score.documents} of {score.task_documents} documents"}
    result = {
        "evaluation_result_id": f"{score.task}/{metric}",
        "evaluation_name": score.task,
        "source_data": {
            "dataset_name": score.task,
            "source_type": "hf_dataset",
            "hf_repo": dataset,
            "hf_split": "test",
            "samples_number": score.task_documents,
            "additional_details": details,
        },
        "evaluation_timestamp": str(int(score.run.date)),
        "metric_config": _metric_config(score, metric),
        "score_details": details_of_score,
    }
    if score.generation:
        result["generation_config"] = _generation(score)
    return result


def _metric_config(score: Score, metric: str) -> dict[str, Any]:
    main = " (main metric)" if metric == score.main_metric else ""
    config = {
        "evaluation_description": f"{metric}{main} on {score.benchmark} at {score.length} {score.unit}",
        "metric_id": _METRIC_IDS.get(metric, f"repeat-after-me.{metric}"),
        "metric_name": metric,
        "metric_unit": "proportion",
        "lower_is_better": not score.directions.get(metric, True),
        "score_type": "continuous",
        "min_score": 0.0,
        "max_score": 1.0,
    }
    if metric in _METRIC_KINDS:
        config["metric_kind"] = _METRIC_KINDS[metric]
    return config


def _generation(score: Score) -> dict[str, Any]:
    """The task's generation settings; there is no number of new tokens if it depends on the document."""
    settings = {key: json.dumps(value) for key, value in score.generation.items() if key != "max_gen_toks"}
    if score.run.prompt_wrapping:
        settings["around_prompts"] = ", ".join(score.run.prompt_wrapping)
    config: dict[str, Any] = {"additional_details": {**settings, "num_fewshot": str(score.shots)}}
    room = score.generation.get("max_gen_toks")
    if type(room) is int and room > 0:
        config["generation_args"] = {"max_tokens": room}
    return config

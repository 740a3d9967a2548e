"""Recall during any training run: a callback for transformers' Trainer, and a function for other loops."""

from dataset_builders.extras import require

require("hf", __name__)  # before anything below imports it

from lm_eval_tasks.probe.callback import RecallProbe
from lm_eval_tasks.probe.evaluation import RecallEvaluation, probe_recall
from lm_eval_tasks.probe.results import write_results
from lm_eval_tasks.probe.scores import RecallScore

__all__ = ["RecallEvaluation", "RecallProbe", "RecallScore", "probe_recall", "write_results"]

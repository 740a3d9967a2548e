"""Multi-query associative recall (MQAR): look up the values of several keys (arXiv 2312.04927)."""

from dataset_builders.mqar.examples import BLANK, LEAST_TOKENS_PER_PAIR, Mqar, MqarExamples

__all__ = ["BLANK", "LEAST_TOKENS_PER_PAIR", "Mqar", "MqarExamples"]

"""Multi-query associative recall (MQAR): look the values of several keys up (arXiv 2312.04927)."""

from dataset_builders.mqar.examples import BLANK, Mqar, MqarExamples

__all__ = ["BLANK", "Mqar", "MqarExamples"]

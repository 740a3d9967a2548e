"""Accuracy by length of trained models, as tables, files and plots."""

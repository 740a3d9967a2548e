"""Copying running text in lm-eval: ``lm_eval --tasks c4_copy``."""

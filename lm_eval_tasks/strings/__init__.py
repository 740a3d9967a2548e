"""Copying and n-gram look-up in lm-eval: ``lm_eval --tasks string_copy``."""

"""Questions about paragraphs of SQuAD v2 in lm-eval: ``lm_eval --tasks squad_v2_retrieval``."""

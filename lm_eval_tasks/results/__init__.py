"""Read lm-eval's result files, and report on them."""

"""Fast kernels for training, each held against a plain reference in the tests."""

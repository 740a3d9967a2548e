"""Architectures: the paper's, those of transformers, and the kernels that make them fast."""

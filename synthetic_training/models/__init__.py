"""Architectures: the paper's, those of transformers, the user's own, and the kernels that make ours fast."""

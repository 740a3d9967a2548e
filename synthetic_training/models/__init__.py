"""Architectures: the paper's, those of transformers, the user's own, and fast kernels for ours."""

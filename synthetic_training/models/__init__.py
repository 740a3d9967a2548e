"""Architectures: the paper's, any of transformers, and the user's own; with fast kernels for the paper's."""

"""Documents of text to train a small byte-level language model on, and rows of them.

They are written as the benchmarks' documents are, but none of them is one of those. Importing this package
imports neither torch nor transformers.
"""

"""Documents for training small byte-level language models, and rows of them.

They have the form of the benchmarks' documents, but none of them is in a benchmark. Importing this package
does not import torch or transformers.
"""

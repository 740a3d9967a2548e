"""Documents for training small byte-level language models, and training rows made of them.

Documents have the format of the benchmarks' documents, but no benchmark contains any of them. Importing this
package does not import torch or transformers.
"""

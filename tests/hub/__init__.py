"""A Hugging Face Hub on this machine: real repositories on disk, served over real HTTP on loopback.

It tests what the clients send and how they handle answers. It does not replace the Hub's own validation.
"""

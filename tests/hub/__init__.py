"""A Hugging Face Hub on this machine: real repositories on disk, answered over real HTTP on loopback.

It shows what the clients send and do with the answers. It does not stand for the Hub's own validation.
"""

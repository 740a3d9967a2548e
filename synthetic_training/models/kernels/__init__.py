"""Fast kernels for training, each tested against a plain reference."""

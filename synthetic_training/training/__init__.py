"""A training run: its loop, step, optimizer and checkpoints."""

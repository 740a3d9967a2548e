"""A training run: its processes, loop, step, optimizer and checkpoints."""

"""Whether the precision of training decides what a Mamba learns: seeds by arm, and errors of gradients."""

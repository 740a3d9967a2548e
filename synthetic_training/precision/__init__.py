"""Whether training precision determines what a Mamba learns: success by seed and arm, and gradient errors."""

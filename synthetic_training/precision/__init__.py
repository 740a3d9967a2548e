"""A study of whether training precision affects what Mamba learns: success by seed, and gradient errors."""

"""Speed benchmarks of this package, each with its own command."""

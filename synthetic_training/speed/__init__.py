"""Benchmarks of this package, each with its own command."""

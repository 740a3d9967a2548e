"""Measurements of differences from the code released with the paper; DEVIATIONS.md has the results."""

"""What differs from the code released with the paper, measured; DEVIATIONS.md has the results."""

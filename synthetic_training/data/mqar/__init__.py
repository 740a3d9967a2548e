"""Multi-query associative recall as training data."""

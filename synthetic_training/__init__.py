"""Train any architecture from scratch on strings to copy and look up in (arXiv 2402.01032, section 3)."""

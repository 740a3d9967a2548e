"""Train any architecture from scratch on copying and look-up tasks (arXiv 2402.01032, section 3)."""

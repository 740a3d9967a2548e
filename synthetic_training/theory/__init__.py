"""The paper's theory as code (arXiv 2402.01032, section 2); README.md in this folder is the introduction."""

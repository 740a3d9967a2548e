"""The paper's theory as running code (arXiv 2402.01032, section 2); start with README.md in this folder."""

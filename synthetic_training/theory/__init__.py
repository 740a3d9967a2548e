"""The paper's theory as running code (arXiv 2402.01032, section 2); README.md here is the way in."""

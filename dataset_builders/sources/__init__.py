"""Sources of documents: running text, tokenizers and names."""

"""What documents are made from: running text, tokenizers and names."""

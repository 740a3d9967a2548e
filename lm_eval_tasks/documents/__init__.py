"""The results behind the numbers, tables and pictures of the documents, and the command that makes them."""

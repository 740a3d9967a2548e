"""The results behind the numbers, tables and plots of the documents, and the command that makes them."""

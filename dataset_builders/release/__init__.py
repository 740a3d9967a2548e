"""Build the data sets into a folder, verify them, and push them to the Hub."""

"""Speed measurements of this package; each module is a command."""

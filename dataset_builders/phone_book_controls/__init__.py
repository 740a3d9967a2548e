"""Controls for ``phone_book``: variants of its documents, each with one change."""

"""Controls for ``phone_book``: variants of its documents that change one thing each."""

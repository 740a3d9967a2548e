"""Controls of the phone book in lm-eval: ``lm_eval --tasks phone_book_controls``."""

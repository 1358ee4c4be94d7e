"""What users may have set in NumPy for all that a thread does."""

__all__ = ["FLOAT_ERRORS"]

FLOAT_ERRORS: dict = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}
"""NumPy's own settings, for fits, questions and files of users who made it raise: an exp that vanishes is no error here."""

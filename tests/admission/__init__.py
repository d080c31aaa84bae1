"""Admission on demand, from the webhook's first answer to the last gate lifted."""

"""Transship makes container images arrive in the environment that is about to run them."""

__version__ = "0.1.0"

"""Errors in label maps; `degradations.py` is the one to read first."""

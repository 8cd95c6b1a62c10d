"""The primitive's Temporal worker; `python -m` with this package's name runs it."""

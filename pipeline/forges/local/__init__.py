"""The local forge: bare repositories in a folder."""

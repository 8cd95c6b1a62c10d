"""This machine: programs, processes that run them, a cache."""

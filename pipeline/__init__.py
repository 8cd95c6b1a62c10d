"""Primitive Pipeline: a software factory that runs from Git alone."""

__version__ = "0.1.0"

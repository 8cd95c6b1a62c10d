"""Applies plans: the only package that writes."""

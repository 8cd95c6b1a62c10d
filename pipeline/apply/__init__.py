"""Applying plans: the one place that writes."""

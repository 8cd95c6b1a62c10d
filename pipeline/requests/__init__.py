"""Requests: parsed, checked, and described for their reviewers. Pure."""

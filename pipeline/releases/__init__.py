"""Rendered manifests: what may stand in them, and what they are bound to."""

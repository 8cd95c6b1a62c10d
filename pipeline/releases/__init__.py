"""Rendered manifests: what they may contain, and the values they are bound to."""

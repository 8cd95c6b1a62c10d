"""Forges: where repositories, pull requests and reviews live (docs/adr/0005-local-forge.md)."""

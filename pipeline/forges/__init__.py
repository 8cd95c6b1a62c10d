"""Forges: where repositories, pull requests and reviews live (design §9)."""

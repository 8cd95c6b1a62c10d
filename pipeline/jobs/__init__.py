"""Checks and builds handed to jobs of their own."""

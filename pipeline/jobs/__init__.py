"""Checks and builds handed to separate jobs."""

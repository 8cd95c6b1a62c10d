"""Adapters for other programs: each runs one tool on exact bytes and never guesses its answer."""

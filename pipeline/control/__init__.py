"""The control repo: its checkout on disk, its forge, and the submission of requests."""

"""The control repo: a checkout on disk, its forge, and requests brought to it."""

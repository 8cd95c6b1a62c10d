"""Frozen models of what is asked for (requests), what happened (facts) and what was seen."""

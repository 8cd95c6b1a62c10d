"""Worlds, doubles, servers and other help that tests share."""

"""Contained runs: `run` for a command and its files, `tools` for our tools over tenants' files.

What contains them is bubblewrap; what is ours is limits, a filter of system calls, and reporting.
"""

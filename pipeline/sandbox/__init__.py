"""Contained runs: `run` for a command and its files, `tools` for our tools on tenants' files.

bubblewrap contains them; limits, a filter of system calls, and reporting are ours.
"""

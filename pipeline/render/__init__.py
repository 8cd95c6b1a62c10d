"""Findings and rules as text for people and as documents for machines, all pure.

Whatever a finding quotes was written by somebody else: each renderer passes it through
`pipeline.characters.visible`, so that it cannot move a cursor, end a line or give a command.
"""

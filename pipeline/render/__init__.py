"""Findings and rules as text for people and as documents for machines, all pure.

Text that a finding quotes comes from others: each renderer passes it through
`pipeline.characters.visible`, so it cannot move a cursor, end a line or give a command.
"""

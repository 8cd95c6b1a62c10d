"""Files that agents write in test stories."""

from __future__ import annotations

# Passes the checks that every primitive of Python has.
ROUTING = '''"""Which partner delivers an order."""


def choose_partner(days: dict[str, int]) -> str | None:
    """The quickest partner by name; None if there is none."""
    return min(sorted(days), key=days.__getitem__, default=None)
'''
CLEAN_SETTINGS = 'import os\n\nAWS_ACCESS_KEY_ID = os.environ["AWS_ACCESS_KEY_ID"]\n'


def leaked_settings() -> str:
    """A file with a made-up credential, composed of parts so that this file holds none."""
    key = "AKIA" + "Q3EGRTLXPWN7Y2KD"
    return f'"""Settings of the partner API."""\n\nAWS_ACCESS_KEY_ID = "{key}"\n'

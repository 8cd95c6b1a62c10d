"""The differences between servers run by GitHub and Enterprise Server. Pure.

Source: GitHub, "About GitHub Enterprise Cloud with data residency" and "Control the concurrency of
workflows and jobs".
"""

from __future__ import annotations

from urllib.parse import urlsplit

PUBLIC = "https://github.com"
_DATA_RESIDENCY = ".ghe.com"


def is_run_by_github(server: str) -> bool:
    """Whether GitHub itself runs the server at this address; otherwise it is Enterprise Server."""
    host = urlsplit(server).hostname or ""
    return server == PUBLIC or host.endswith(_DATA_RESIDENCY)

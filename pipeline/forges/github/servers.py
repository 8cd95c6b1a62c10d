"""The differences between servers run by GitHub and Enterprise Server. Pure.

Source: GitHub, "About GitHub Enterprise Cloud with data residency" and "Control the concurrency of
workflows and jobs".
"""

from __future__ import annotations

from urllib.parse import urlsplit

PUBLIC = "https://github.com"
PUBLIC_API = "https://api.github.com"
_DATA_RESIDENCY = ".ghe.com"


def api_of(server: str) -> str:
    """The address of a server's REST API."""
    if server == PUBLIC:
        return PUBLIC_API
    host = urlsplit(server).hostname or ""
    return f"https://api.{host}" if host.endswith(_DATA_RESIDENCY) else f"{server}/api/v3"


def is_run_by_github(server: str) -> bool:
    """Whether GitHub itself runs the server at this address; otherwise it is Enterprise Server."""
    host = urlsplit(server).hostname or ""
    return server == PUBLIC or host.endswith(_DATA_RESIDENCY)

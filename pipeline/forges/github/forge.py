"""GitHub as a forge; see `pipeline.forges.port.Forge`.

What the port's `actor` does is done with the one credential of this process, if it is of that
account, since on GitHub everybody acts with their own. GitHub's rules decide; the pure ones
(`pipeline.forges.branch_rules`) only say why it refused. GitHub dates merges itself, so `time_s`
is not used, and a repository is as of the last time its branches were read (`read_repo`).
"""

from __future__ import annotations

from pipeline.forges.github.notes import Notes
from pipeline.forges.github.pulls import Pulls


class GithubForge(Pulls, Notes):
    """The repositories of one organisation on GitHub, as the account of `client` sees them."""

    def cost(self) -> str:
        """What was asked of GitHub so far."""
        return self.client.cost.line()

    def close(self) -> None:
        """End the reading processes of all repositories."""
        for git in self._open.values():
            git.close()
        self._open.clear()

"""prod asks for a scan and a ticket; the ticket is there, and the scan is signed by the agent."""

from __future__ import annotations

from pipeline.images.signing import SigningKey
from pipeline.models.statements import SCAN_TYPE
from tests.attacks.worlds import AttackWorld
from tests.support.signed_world import TICKET, Signing
from tests.support.statement_evidence import sarif
from worlds.control_repo import CLOCK_S


def bring_own_scan(world: AttackWorld) -> None:
    """The board's ticket, and a scan by a key that nobody knows."""
    folder = world.story.root / "keys"
    signing = Signing(world.story, folder)
    signing.bring("ticket", "board", TICKET, {"ticket": "CHG-4711"})
    signing.keys["scanner"] = SigningKey.create(folder / "own.pem")
    signing.bring("scan", "scanner", SCAN_TYPE, sarif({}), scanned_s=CLOCK_S - 60)

"""A world whose prod asks for a change ticket and a scan, and the people who sign them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipeline.documents import parse_document, render_document
from pipeline.images.signing import SigningKey
from pipeline.images.stating import statement_about
from pipeline.models.base import moment_of
from pipeline.models.statements import SCAN_TYPE
from pipeline.requests.layout import SIGNERS_PATH, environment_path, statement_path
from tests.support.fact_history import ENGINEER_ID, RELEASE_MANAGERS, SECURITY_ID
from tests.support.samples import DRAFT, sample_files
from tests.support.statement_evidence import sarif
from tests.support.story import Story
from worlds.control_repo import CLOCK_S

TICKET = "https://example.com/change-ticket/v1"
HOLE: Mapping[str, object] = {"CVE-2026-1234": 9.8}


class Signing:
    """A world whose prod asks for a change ticket and a scan, and the keys of who signs them."""

    def __init__(self, story: Story, folder: Path) -> None:
        self.story = story
        names = ("board", "scanner", "security-team")
        self.keys = {name: SigningKey.create(folder / f"{name}.pem") for name in names}
        git = story.engine.control.open_repository()
        there = git.read_object(f"{story.engine.snapshot().commit}:{SIGNERS_PATH}")
        assert there is not None
        known = parse_document(SIGNERS_PATH, there.content).value
        assert isinstance(known["signers"], list)
        known["signers"] += [
            {"name": name, "signs": ["statements"], "public_key": key.public_key}
            for name, key in self.keys.items()
        ]
        story.change_policy(SIGNERS_PATH, render_document(known))
        asked = f"""statements:
  - predicate_type: {TICKET}
    signers: [board]
vulnerabilities:
  highest: medium
  expires_after_days: 7
  signers: [scanner]
  vex_signers: [security-team]
"""
        path = environment_path("prod")
        story.change_policy(path, sample_files()[path] + asked.encode())

    def bring(
        self,
        name: str,
        by: str,
        type: str,
        said: object,
        *,
        scanned_s: int = 0,
        at_s: int | None = None,
    ) -> None:
        """Bring a statement about what staging runs, signed by one of them, or by another key."""
        digest = self.story.engine.status(DRAFT).promotions[0].release.digest
        at = moment_of(scanned_s) if scanned_s else None
        bundle = self.keys[by].sign(statement_about(digest, type, said, at))
        content = render_document(
            {
                "apiVersion": "pipeline.ameide.io/v1",
                "kind": "ExternalStatement",
                "draft": DRAFT,
                "bundle": bundle,
            }
        )
        self.story.request(statement_path(DRAFT, name), content, ENGINEER_ID, at_s=at_s)

    def bring_all(self, found: Mapping[str, object] = HOLE) -> None:
        """Bring a ticket and a scan of an hour ago."""
        self.bring("ticket", "board", TICKET, {"ticket": "CHG-4711"})
        self.bring("scan", "scanner", SCAN_TYPE, sarif(found), scanned_s=CLOCK_S - 3600)

    def ask(self) -> None:
        """Bring the request for prod, approved, and run."""
        self.story.ask(DRAFT, "prod", RELEASE_MANAGERS[0], SECURITY_ID)
        self.story.go()

    def waits_for(self) -> list[str]:
        """The codes of what the draft's promotions wait for."""
        (plan,) = self.story.engine.plan(tenants=["acme"]).tenants
        return [code for waiting in plan.waiting for code, _ in waiting.reasons]

    def newest(self) -> object:
        """The body of the draft's newest fact."""
        return self.story.engine.facts(DRAFT)[-1].body

"""Owners look into a foreign commit, and say so on main; the record keeps both."""

from __future__ import annotations

from pipeline.diagnostics import Verdict
from pipeline.documents import render_document
from tests.attacks.disk import audit_clones, clone_all
from tests.attacks.steps import bring
from tests.attacks.worlds import AttackWorld
from tests.support.finished_story import GITOPS


def settle(world: AttackWorld) -> None:
    """What the run put back is in order once the commit is acknowledged, and not before."""
    restored = world.git(GITOPS).read_commit(world.main(GITOPS))
    foreign = restored.parents[0]
    value = {
        "apiVersion": "pipeline.ameide.io/v1",
        "kind": "Acknowledgement",
        "acknowledgement": "by-hand",
        "repository": GITOPS,
        "commits": [foreign],
        "reason": "An engineer tried an image by hand",
    }
    path = "environments/acknowledgements/by-hand.yaml"
    changes = [{"write": {"path": path, "text": render_document(value).decode()}}]
    asked = {"as": "platform-engineer-1", "changes": changes, "approved": ["platform-engineer-2"]}
    bring(world, asked)
    report = audit_clones(clone_all(world, world.scratch / "settled"))
    assert report.verdict is Verdict.VALID, report.findings
    assert [a.path for a in report.acknowledged] == [path]

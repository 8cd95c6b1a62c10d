"""Release groups on a real forge: all members move or none, whatever comes between."""

from __future__ import annotations

from pathlib import Path

from pipeline.models.facts import Promoted
from tests.support.finished_story import audit
from tests.support.group_story import (
    MEMBERS,
    NAME,
    OWNERS,
    PATH,
    ask_for_group,
    go,
    group_story,
    runs_in,
)


def test_both_members_move_in_one_run_and_are_proved(tmp_path: Path) -> None:
    story = group_story(tmp_path / "world")
    ask_for_group(story, "dev", *OWNERS)
    go(story)
    assert runs_in(story, "dev") == list(MEMBERS)
    for draft in MEMBERS:
        (body,) = [f.body for f in story.engine.facts(draft) if isinstance(f.body, Promoted)]
        assert body.group is not None and body.group.name == NAME
        assert story.engine.status(draft).requests[PATH]
    found = audit(story.world)
    assert found.findings == (), found.findings
    story.close()

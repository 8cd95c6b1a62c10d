"""The description of an attack, in the `attack.yaml` of its folder.

    promise: authority            # a key of tests/attacks/promises.py
    story: One or two sentences.  # what the attacker does, and what they hope for
    starts: in dev                # a stage of tests/support/story.py
    policy: [...]                 # changes of the first commit, before that stage; rarely
    before: [...]                 # steps of honest people
    steps: [...]                  # steps of the attack (tests/attacks/steps.py), and runs
    stopped_by:                   # where it is stopped → codes of rules or errors
      check: [author-out-of-scope]
    on_github: {...}              # the same, if GitHub stops it elsewhere
    in_vain: One sentence.        # instead, if nothing is refused but nothing is gained
    recorded:                     # facts that the attack's runs add; none if absent
      acme/order-router: [patch-refused]
    moves: [...]                  # other refs that those runs may move, as patterns
    over: [local, github]         # forges; the local one if absent

Everything outside `recorded` and `moves` must not happen: no run of an attack moves another ref.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.attacks.promises import PROMISES

HERE = Path(__file__).resolve().parent
ROLES = ("bot", "engineer", "release-manager", "writer-of-all-but-one", "writer-of-one-repository")
FORGES = ("local", "github")
_FIELDS = {
    "promise",
    "story",
    "starts",
    "policy",
    "before",
    "steps",
    "stopped_by",
    "on_github",
    "in_vain",
    "recorded",
    "moves",
    "over",
}


@dataclass(frozen=True)
class Attack:
    """One attack: its folder's name, its role, and its description."""

    folder: Path
    promise: str
    story: str
    starts: str
    policy: Sequence[Any]
    before: Sequence[Any]
    steps: Sequence[Any]
    stopped_by: Mapping[str, Sequence[str]]
    on_github: Mapping[str, Sequence[str]]
    in_vain: str
    recorded: Mapping[str, Sequence[str]]
    moves: Sequence[str]
    over: Sequence[str]

    @property
    def role(self) -> str:
        """The role of the attacker."""
        return self.folder.parent.name

    @property
    def name(self) -> str:
        """`role/nn-name`."""
        return f"{self.role}/{self.folder.name}"


def read_attack(folder: Path) -> Attack:
    """The attack in a folder. Raises AssertionError if fields are missing or unknown."""
    told = yaml.safe_load((folder / "attack.yaml").read_text(encoding="utf-8"))
    where = f"{folder.parent.name}/{folder.name}"
    assert set(told) <= _FIELDS, f"{where}: unknown {sorted(set(told) - _FIELDS)}"
    assert told["promise"] in PROMISES, f"{where}: no promise `{told['promise']}`"
    assert told["steps"] and ("stopped_by" in told) != ("in_vain" in told), (
        f"{where}: nothing is tried, or nothing stops it"
    )
    over = tuple(told.get("over", ("local",)))
    assert over and set(over) <= set(FORGES), f"{where}: over {over}"
    return Attack(
        folder=folder,
        promise=told["promise"],
        story=" ".join(told["story"].split()),
        starts=told.get("starts", "begun"),
        policy=told.get("policy", ()),
        before=told.get("before", ()),
        steps=told["steps"],
        stopped_by=told.get("stopped_by", {}),
        on_github=told.get("on_github", told.get("stopped_by", {})),
        in_vain=told.get("in_vain", ""),
        recorded=told.get("recorded", {}),
        moves=told.get("moves", ()),
        over=over,
    )


def read_attacks() -> tuple[Attack, ...]:
    """All attacks by role and number."""
    return tuple(
        read_attack(path.parent)
        for role in ROLES
        for path in sorted((HERE / role).glob("*/attack.yaml"))
    )

"""Who may ask and who must approve, written by hand from the table of docs/authority.md.

It knows nothing of `pipeline.gate`: it reads policy as the plain mappings of the files and repeats
the rows as simply as possible. Tests compare the two.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import yaml

TIERS = ["LOW", "MEDIUM", "HIGH"]
Files = Mapping[str, bytes]
Policy = Mapping[str, Any]  # path → what the file says


def read_policy(files: Files) -> Policy:
    """What the files of a control repo say."""
    wanted = re.compile(r"environments/.*\.yaml|tenants/[^/]+/(tenant|drafts/[^/]+/draft)\.yaml")
    return {p: _parsed(content) for p, content in files.items() if wanted.fullmatch(p)}


@lru_cache(maxsize=4096)
def _parsed(content: bytes) -> Any:
    return yaml.load(content, Loader=yaml.CSafeLoader)


@dataclass(frozen=True)
class Change:
    """A pull request: who made it, and what reviewers say of its head. Reviews are (who, what)."""

    paths: tuple[str, ...]
    author: int
    pushers: frozenset[int]
    is_pusher_known: bool
    committers: frozenset[int]
    reviews: tuple[tuple[int, str], ...]  # of the head alone, in their order


def account(policy: Policy, number: int) -> Any:
    """An account as platform.yaml lists it; None if it does not."""
    listed = policy["environments/platform.yaml"]["accounts"]
    return next((a for a in listed if a["id"] == number), None)


def is_in(policy: Policy, number: int, teams: Iterable[str]) -> bool:
    """Whether somebody is a person of one of these teams."""
    found = account(policy, number)
    return bool(found and found["kind"] == "person" and set(found.get("teams", ())) & set(teams))


def is_platform_s(draft: str, *sides: Policy) -> bool:
    """Whether a draft is the platform's by its tenant, or by what either side says."""
    tenant, primitive = draft.split("/")
    path = f"tenants/{tenant}/drafts/{primitive}/draft.yaml"
    told = [side.get(path) or {} for side in sides]
    return tenant == "platform" or any(d.get("code_origin") == "platform" for d in told)


def approvals_of(policy: Policy, draft: str, environment: str, tier: str) -> Any:
    """What an environment asks for, at the higher of `tier` and that of this policy."""
    tenant, primitive = draft.split("/")
    told = policy[f"environments/{environment}/environment.yaml"].get("approvals") or {}
    own = [
        (policy.get(f"tenants/{tenant}/tenant.yaml") or {}).get("risk_tier"),
        (policy.get(f"tenants/{tenant}/drafts/{primitive}/draft.yaml") or {}).get("risk_tier"),
    ]
    highest = max([tier, *(t for t in own if t)], key=TIERS.index)
    for level in TIERS[TIERS.index(highest) :: -1]:
        if level in told:
            return told[level]
    return None


def row(
    path: str, base: Policy, proposed: Policy, now: Policy, tier: str
) -> tuple[str, list[str], str, list[tuple[int, list[str]]]]:
    """The row that a path is in: its kind, who asks (teams, and the tenant whose bots do), and
    what must be approved (count, teams)."""
    owners = base["environments/platform.yaml"]["owners"]
    if path.startswith("environments/"):
        return "policy", owners, "", [(1, owners)]
    match = re.match(r"tenants/([^/]+)/(?:drafts/([^/]+)/)?(.*)", path)
    if match is None:
        return "policy", owners, "", [(1, owners)]
    tenant, primitive, rest = match.groups()
    tenant_owners = (base.get(f"tenants/{tenant}/tenant.yaml") or {}).get("owners", [])
    if primitive is None:
        return "policy", [*tenant_owners, *owners], "", [(1, owners)]
    draft = f"{tenant}/{primitive}"
    if is_platform_s(draft, base, proposed):
        asks, bots, approves = list(owners), "", [(1, owners)]
    else:
        asks, bots, approves = [*tenant_owners, *owners], tenant, [(1, tenant_owners)]
    promotion = re.fullmatch(r"promotions/([a-z]+)\.yaml", rest)
    if promotion is not None:
        told = [approvals_of(side, draft, promotion[1], tier) for side in (base, now)]
        policies = [(each["count"], each["teams"]) for each in told if each]
        asks += [team for _, teams in policies for team in teams]
        approves = policies or approves
    return "request", asks, bots, approves


def is_allowed(
    change: Change, base: Policy, proposed: Policy, now: Policy, tier: str = "LOW"
) -> bool:
    """Whether a change may be merged and followed."""
    rows = [row(path, base, proposed, now, tier) for path in change.paths]
    if {kind for kind, *_ in rows} == {"policy", "request"}:
        return False
    for who in {change.author, *change.pushers}:
        found = account(base, who)
        for _, teams, bots, _ in rows:
            by_bot = found and found["kind"] == "bot" and bots and bots in found.get("tenants", ())
            if not (is_in(base, who, teams) or by_bot):
                return False
    if not change.is_pusher_known:
        return False
    made = {change.author, *change.pushers, *change.committers}
    made |= {d for who in made for d in (account(base, who) or {}).get("delegators", ())}
    newest = dict(change.reviews)
    for count, teams in (policy for _, _, _, policies in rows for policy in policies):
        counted = {
            who
            for who, said in newest.items()
            if said == "approved" and is_in(base, who, teams) and who not in made
        }
        if len(counted) < count:
            return False
        if count >= len(teams) and not all(
            any(is_in(base, who, [team]) for who in counted) for team in teams
        ):
            return False
        objecting = [who for who, said in newest.items() if said == "changes-requested"]
        if any(is_in(base, who, teams) for who in objecting):
            return False
    return True


def newest_words(reviews: Sequence[tuple[int, str, str]], head: str) -> tuple[tuple[int, str], ...]:
    """The reviews (who, of which commit, what) that count of a head, a comment taken for none."""
    told: dict[int, str] = {}
    for who, commit, said in reviews:
        if said != "commented":
            told[who] = said if commit == head else "dismissed"
    return tuple(told.items())

"""Random accounts, requests and policies, for the properties of authority."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache

import yaml
from hypothesis import strategies as st

from pipeline.documents import render_document
from pipeline.requests.identity import draft_example
from pipeline.requests.kinds import parse_request
from pipeline.requests.layout import (
    PLATFORM_PATH,
    draft_path,
    environment_path,
    patch_path,
    tenant_path,
)
from pipeline.requests.snapshot import ReadRequest, Snapshot, snapshot_of
from tests.support.samples import sample_files
from worlds.control_repo import CLOCK_S

# People of every team, bots, the pipeline itself, and accounts that no policy lists.
PEOPLE = (1101, 1102, 1201, 1202, 1301, 1501, 1502, 1601)
BOTS = (1901, 1902)
ACCOUNTS = (*PEOPLE, *BOTS, 1000, 4711)
TEAMS = (
    "platform-engineers",
    "acme-engineers",
    "contoso-engineers",
    "release-managers",
    "security",
)
DRAFTS = ("acme/one", "acme/two", "contoso/one")
VERDICTS = ("approved", "changes-requested", "dismissed", "commented")
STORIES = int(os.environ.get("TESTS_STORIES", "0")) or 8
TIME_S = CLOCK_S  # of commits and merges: no run decides before they were made

accounts = st.sampled_from(ACCOUNTS)
people = st.sampled_from(PEOPLE)
# Whoever asks is mostly somebody who could: else nothing would ever be followed.
askers = st.one_of(st.sampled_from((1901, 1901, 1902, 1201, 1101)), accounts)
drafts = st.sampled_from(DRAFTS)
# What would be refused anyway tells nothing, so most of it is in order.
nobody: st.SearchStrategy[frozenset[int]] = st.just(frozenset())
mostly = st.sampled_from((True, True, True, True, False))
words = st.sampled_from(("approved", "changes-requested", *VERDICTS))


def draft_file(draft: str, origin: str) -> bytes:
    """The request of a draft of an origin."""
    tenant, primitive = draft.split("/")
    text = draft_example(id=draft, tenant=tenant, primitive=primitive)
    owner, repo = (
        ("platform", "ameide-platform")
        if origin == "platform"
        else (tenant, f"tenant-{tenant}-controllers")
    )
    text = text.replace("code_origin: tenant", f"code_origin: {origin}")
    text = text.replace("tenant-acme-controllers", repo)
    return text.replace("acme-engineers", f"{owner}-engineers").encode()


def edited_policy(
    what: str, teams: tuple[str, ...], count: int, there: Mapping[str, bytes]
) -> dict[str, bytes]:
    """One change of policy: who approves staging, who is in a team, what a bot may, a tier."""
    if what == "staging":
        path = environment_path("staging")
        value = yaml.load(there[path], Loader=yaml.CSafeLoader)
        value["approvals"] = {"LOW": {"count": count, "teams": list(teams)}}
    elif what in ("person", "bot", "unlisted"):
        path = PLATFORM_PATH
        value = yaml.load(there[path], Loader=yaml.CSafeLoader)
        listed = value["accounts"]
        found = next(
            (a for a in listed if a["id"] == {"person": 1502, "bot": 1902}.get(what)), None
        )
        if what == "unlisted":
            value["accounts"] = [a for a in listed if a["id"] != 1902]
        elif found and what == "person":
            found["teams"] = list(teams)
        elif found:
            found["tenants"] = ["acme", "contoso"][:count]
    else:
        path = tenant_path("acme")
        value = yaml.load(there[path], Loader=yaml.CSafeLoader)
        value["risk_tier"] = ("LOW", "MEDIUM", "HIGH")[count]
    return {path: render_document(value)}


PATHS = (
    *(draft_path(draft) for draft in DRAFTS),
    *(patch_path(draft, "0001") for draft in DRAFTS),
    *(
        f"tenants/{d.split('/')[0]}/drafts/{d.split('/')[1]}/promotions/{e}.yaml"
        for d in DRAFTS
        for e in ("dev", "staging", "prod")
    ),
    PLATFORM_PATH,
    environment_path("prod"),
    tenant_path("acme"),
    tenant_path("contoso"),
    "CODEOWNERS",
)


@cache
def _read(path: str, content: bytes) -> ReadRequest | None:
    return parse_request(path, content)[0]


def snapshot(files: Mapping[str, bytes]) -> Snapshot:
    """The snapshot of a control repo of these files."""
    reads = [read for path, content in files.items() if (read := _read(path, content))]
    return snapshot_of("c" * 40, dict.fromkeys(files, "b" * 40), reads)


@st.composite
def policies(draw: st.DrawFn) -> dict[str, bytes]:
    """The samples' policy with some changes, and some drafts on it."""
    files = {p: c for p, c in sample_files().items() if "/drafts/" not in p}
    for what in draw(
        st.lists(st.sampled_from(("staging", "person", "bot", "unlisted", "tier")), max_size=2)
    ):
        teams = tuple(draw(st.lists(st.sampled_from(TEAMS), min_size=1, max_size=2, unique=True)))
        files |= edited_policy(what, teams, draw(st.integers(1, 2)), files)
    for draft in draw(st.lists(drafts, unique=True)):
        files[draft_path(draft)] = draft_file(draft, draw(st.sampled_from(("tenant", "platform"))))
    return files


def proper(path: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Who may ask for a path and who approves it, by the samples' policy."""
    parts = path.split("/")
    if parts[0] != "tenants":
        return (1101, 1102), (1101, 1102)
    bot, engineers = (1901, (1201, 1202)) if parts[1] == "acme" else (1902, (1301,))
    if len(parts) == 3:
        return (engineers[0], 1101), (1101, 1102)
    if path.endswith("/staging.yaml"):
        return (bot, 1501), (1501, 1502)
    if path.endswith("/prod.yaml"):
        return (bot, 1501), (1501, 1502, 1601)
    return (bot, engineers[0], 1101), engineers


@st.composite
def changes(draw: st.DrawFn) -> tuple[tuple[str, ...], int, list[tuple[int, str, bool]]]:
    """Paths, who asks, and the reviews (who, what, of the head): mostly as they should be."""
    paths = draw(st.lists(st.sampled_from(PATHS), min_size=1, max_size=2, unique=True))
    asking = [set(proper(path)[0]) for path in paths]
    both = sorted(set.intersection(*asking) or asking[0])
    author = draw(st.one_of(st.sampled_from(both), st.sampled_from(both), accounts))
    who = sorted({number for path in paths for number in proper(path)[1]})
    but_one = [[number for number in who if number != gone] for gone in who]
    approving = draw(st.one_of(st.just(who), st.sampled_from(but_one)))
    reviews = [(number, "approved", draw(mostly)) for number in approving]
    more = st.tuples(st.one_of(st.sampled_from(who), accounts), words, mostly)
    return tuple(paths), author, reviews + draw(st.lists(more, max_size=2))

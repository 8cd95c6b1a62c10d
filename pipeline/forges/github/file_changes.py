"""The effect of a change of a file that is not a request: workflows, owners, others. Pure.

A workflow is read as data. What it may do follows from the events that start it, the permissions of
its token, the secrets and environments that it names, and the actions it calls.
Sources: GitHub, "Workflow syntax for GitHub Actions", "About code owners".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields

from pipeline.documents import parse_document

Line = tuple[str, str]
_WORKFLOW = re.compile(r"\.github/workflows/[^/]+\.ya?ml\Z")
_ACTION = re.compile(r"(.*/)?action\.ya?ml\Z")
_OWNERS = frozenset({"CODEOWNERS", ".github/CODEOWNERS", "docs/CODEOWNERS"})
_SECRET = re.compile(r"secrets\s*(?:\.\s*([A-Za-z0-9_]+)|\[\s*['\"]([A-Za-z0-9_]+)['\"]\s*\])")
_ALL_SECRETS = re.compile(r"secrets\s*\)|secrets:\s*inherit|secrets\s*\[\s*[^'\"\s]")
_VERBS = {(False, True): "add", (True, True): "change", (True, False): "take away"}


def file_change(path: str, old: bytes | None, new: bytes | None) -> tuple[str, tuple[Line, ...]]:
    """What a change asks for, as the end of a sentence, and its details; None is no file."""
    verb = _VERBS.get((old is not None, new is not None), "change")
    if _WORKFLOW.match(path):
        return f"{verb} a workflow that GitHub runs", tuple(_workflow_lines(path, old, new))
    if path in _OWNERS:
        return f"{verb} who owns which files", tuple(_owner_lines(old, new))
    if _ACTION.match(path) or path.startswith(".github/actions/"):
        return f"{verb} an action that workflows run", ()
    return f"{verb} a file that is not a request", ()


@dataclass(frozen=True, slots=True)
class Workflow:
    """What a workflow may do, each as sorted words."""

    runs_on_events: tuple[str, ...] = ()
    permissions: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    machines: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    jobs: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    problem: str = ""


def read_workflow(path: str, content: bytes) -> Workflow:
    """What a workflow may do, as far as the strict YAML reader can read it."""
    document = parse_document(path, content)
    text = content.decode("utf-8", "replace")
    named = {a or b for a, b in _SECRET.findall(text)}
    secrets = (*sorted(named), *(["all of them"] if _ALL_SECRETS.search(text) else []))
    if document.findings or not isinstance(document.value, Mapping):
        problem = document.findings[0].message if document.findings else "it is not a mapping"
        return Workflow(secrets=secrets, problem=problem)
    value: Mapping[str, object] = document.value
    jobs = {k: v for k, v in _mapping(value.get("jobs")).items() if isinstance(v, Mapping)}
    steps = [s for job in jobs.values() for s in _list(job.get("steps")) if isinstance(s, Mapping)]
    uses = [x.get("uses") for x in (*jobs.values(), *steps)]
    return Workflow(
        runs_on_events=tuple(sorted(_events(value.get("on")))),
        permissions=tuple(_permissions(value, jobs)),
        secrets=secrets,
        environments=tuple(
            sorted({_name(j["environment"]) for j in jobs.values() if "environment" in j})
        ),
        machines=tuple(sorted({_told(j["runs-on"]) for j in jobs.values() if "runs-on" in j})),
        actions=tuple(sorted({str(u) for u in uses if u is not None})),
        jobs=tuple(sorted(jobs)),
        commands=tuple(str(s["run"]) for s in steps if "run" in s),
    )


def _events(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        yield from (str(item) for item in value)
    for event, how in _mapping(value).items():
        limits = ", ".join(f"{key} {_told(limit)}" for key, limit in _mapping(how).items())
        yield f"{event} ({limits})" if limits else event


def _permissions(
    value: Mapping[str, object], jobs: Mapping[str, Mapping[str, object]]
) -> Iterator[str]:
    if "permissions" in value:
        yield f"of all jobs: {_rights(value['permissions'])}"
    elif not all("permissions" in job for job in jobs.values()):
        yield "of all jobs: what the repository gives by default"
    for name, job in sorted(jobs.items()):
        if "permissions" in job:
            yield f"of {name}: {_rights(job['permissions'])}"


def _rights(value: object) -> str:
    given = ", ".join(f"{name} {right}" for name, right in sorted(_mapping(value).items()))
    return given or (value if isinstance(value, str) else "none")


def _workflow_lines(path: str, old: bytes | None, new: bytes | None) -> Iterator[Line]:
    before = read_workflow(path, old) if old is not None else Workflow()
    after = read_workflow(path, new) if new is not None else Workflow()
    for which, found in (("before", before), ("now", after)):
        if found.problem:
            yield f"could not be read {which}", found.problem
    for field in fields(Workflow):
        was, now = getattr(before, field.name), getattr(after, field.name)
        label = field.name.replace("_", " ")
        if field.name == "commands":
            if was != now:
                yield label, f"{len(set(now) - set(was))} new, {len(set(was) - set(now))} gone"
        elif field.name != "problem":
            yield from _gained_and_lost(label, was, now, old is None)


def _gained_and_lost(
    label: str, was: tuple[str, ...], now: tuple[str, ...], is_new: bool
) -> Iterator[Line]:
    gained = [item for item in now if item not in was]
    lost = [item for item in was if item not in now]
    if gained:
        yield label if is_new else f"more {label}", "; ".join(gained)
    if lost:
        yield f"fewer {label}", "; ".join(lost)


def _owner_lines(old: bytes | None, new: bytes | None) -> Iterator[Line]:
    before, after = _owners(old or b""), _owners(new or b"")
    was, now = dict(before), dict(after)
    for pattern in dict.fromkeys((*was, *now)):
        if pattern not in was:
            yield "owners of a path", f"{pattern}: {now[pattern]}"
        elif pattern not in now:
            yield "path without its own owners", f"{pattern}, {was[pattern]} before"
        elif was[pattern] != now[pattern]:
            yield "owners of a path", f"{pattern}: from {was[pattern]} to {now[pattern]}"
    kept = [p for p, _ in before if p in now], [p for p, _ in after if p in was]
    if kept[0] != kept[1]:
        yield "order", "changed: the last line that fits a path decides"


def _owners(content: bytes) -> list[tuple[str, str]]:
    """Pattern and owners of each line; without owners nobody owns the pattern."""
    found = []
    for line in content.decode("utf-8", "replace").splitlines():
        pattern, *owners = line.partition(" #")[0].split() or [""]
        if pattern and not pattern.startswith("#"):
            found.append((pattern, " ".join(owners) or "nobody"))
    return found


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _name(environment: object) -> str:
    return str(_mapping(environment).get("name", environment))


def _told(value: object) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return (
        " ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, Mapping) else str(value)
    )

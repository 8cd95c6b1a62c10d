"""A process definition as the platform keeps it, checked before anything rests on it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

MAX_STEPS: Final = 50
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*\Z")
_ACTION = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*/[a-z][a-z0-9]*(-[a-z0-9]+)*\Z")
_REFERENCE = re.compile(r"process-definition/([a-z0-9]+(?:-[a-z0-9]+)*)@([0-9]{1,9})\Z")
_DAY_S: Final = 86_400
# Time-outs of a step in seconds: the least, the most, and what holds when none is given.
_BOUNDS: Final[Mapping[str, tuple[int, int, int]]] = {
    "start_to_close_s": (1, 3_600, 30),
    "schedule_to_close_s": (1, 7 * _DAY_S, 3_600),
    "heartbeat_s": (1, 300, 10),
    "approval_timeout_s": (1, 90 * _DAY_S, 7 * _DAY_S),
}
_TEXTS: Final = frozenset({"name", "action", "undo", "approver_role"})


class DefinitionError(ValueError):
    """A definition has the wrong shape; `problems` holds every reason."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Step:
    """One step: an action of a domain, how it is undone, and how long it may take.

    An action is `domain/action`. `start_to_close_s` bounds one try, `schedule_to_close_s` all of
    them with the waiting between. With `approval`, somebody of `approver_role` (anyone of the
    tenant, when empty) has to agree first.
    """

    name: str
    action: str
    undo: str = ""
    approval: bool = False
    approver_role: str = ""
    start_to_close_s: int = _BOUNDS["start_to_close_s"][2]
    schedule_to_close_s: int = _BOUNDS["schedule_to_close_s"][2]
    heartbeat_s: int = _BOUNDS["heartbeat_s"][2]
    approval_timeout_s: int = _BOUNDS["approval_timeout_s"][2]


@dataclass(frozen=True, slots=True)
class ProcessDefinition:
    """A version of a tenant's process: its steps, in the order in which they are done."""

    id: str
    version: int
    tenant_id: str
    steps: list[Step]

    @property
    def reference(self) -> str:
        """How other documents refer to it."""
        return f"process-definition/{self.id}@{self.version}"


def parse_reference(reference: str) -> tuple[str, int]:
    """Id and version of `process-definition/ID@VERSION`. Raises DefinitionError."""
    match = _REFERENCE.match(reference)
    if match is None:
        raise DefinitionError(["a definition is named process-definition/ID@VERSION"])
    return match[1], int(match[2])


def parse_definition(document: object, reference: str) -> ProcessDefinition:
    """The definition that a document holds; it must be the one that `reference` names.

    Raises DefinitionError with all problems. Messages name fields, never what is in them.
    """
    name, version = parse_reference(reference)
    if not isinstance(document, Mapping):
        raise DefinitionError(["the definition is not an object"])
    problems = [
        f"{key}: unknown" for key in _unknown(document, {"id", "version", "tenant_id", "steps"})
    ]
    if document.get("id") != name:
        problems.append(f"id: not {name}")
    if not _is_whole(document.get("version")) or document["version"] != version:
        problems.append(f"version: not {version}")
    tenant_id = document.get("tenant_id")
    if not isinstance(tenant_id, str) or not _NAME.match(tenant_id):
        problems.append("tenant_id: not the id of a tenant")
    listed = document.get("steps")
    if not isinstance(listed, list) or not 1 <= len(listed) <= MAX_STEPS:
        raise DefinitionError([*problems, f"steps: not a list of 1 to {MAX_STEPS}"])
    steps = [_parse_step(item, f"steps[{index}]", problems) for index, item in enumerate(listed)]
    if len({step.name for step in steps}) != len(steps):
        problems.append("steps: two have the same name")
    if problems:
        raise DefinitionError(problems)
    return ProcessDefinition(name, version, str(tenant_id), steps)


def _parse_step(item: object, where: str, problems: list[str]) -> Step:
    if not isinstance(item, Mapping):
        problems.append(f"{where}: not an object")
        return Step(where, "")
    problems.extend(
        f"{where}.{key}: unknown" for key in _unknown(item, _TEXTS | {"approval"} | set(_BOUNDS))
    )
    texts = {key: item.get(key, "") for key in _TEXTS}
    patterns = {"name": _NAME, "action": _ACTION, "undo": _ACTION, "approver_role": _NAME}
    for key, pattern in patterns.items():
        value = texts[key]
        optional = key in ("undo", "approver_role")
        if optional and value == "":
            continue
        if not isinstance(value, str) or len(value) > 100 or not pattern.match(value):
            problems.append(f"{where}.{key}: not a name of its form")
    approval = item.get("approval", False)
    if not isinstance(approval, bool):
        problems.append(f"{where}.approval: neither true nor false")
    times: dict[str, int] = {}
    for key, (least, most, usual) in _BOUNDS.items():
        value = item.get(key, usual)
        if not _is_whole(value) or not least <= value <= most:
            problems.append(f"{where}.{key}: not a whole number from {least} to {most}")
            value = usual
        times[key] = value
    if times["start_to_close_s"] > times["schedule_to_close_s"]:
        problems.append(f"{where}.start_to_close_s: more than schedule_to_close_s")
    return Step(
        name=str(texts["name"]),
        action=str(texts["action"]),
        undo=str(texts["undo"]),
        approval=approval is True,
        approver_role=str(texts["approver_role"]),
        **times,
    )


def _unknown(document: Mapping[object, object], known: set[str] | frozenset[str]) -> list[str]:
    return sorted(str(key)[:50] for key in document if key not in known)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)

"""podcheck: judges pods by the Pod Security Standard `restricted`, with Kubernetes' own code.

`tools/podcheck` runs the checks of the API server's admission (k8s.io/pod-security-admission), so a
namespace with that label accepts what passes here. One process judges all objects of an overlay.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.crds import GROUP
from pipeline.diagnostics import Finding, Location
from pipeline.errors import CouldNotCheck, OverBound, Unrenderable
from pipeline.machine.versions import find_tool
from pipeline.releases.rules import MANIFEST_POD_SECURITY
from pipeline.sandbox.tools import run_tool_confined
from pipeline.tools.rules import MANIFEST_NOT_CHECKED


@dataclass(frozen=True, slots=True)
class PodVerdict:
    """The verdict on one object: whether it holds a pod, and what the standard refuses in it.

    `unknown` is an object that could not be judged; the problem says why.
    """

    holds: Literal["pod", "nothing", "unknown"]
    problems: tuple[str, ...]


def run_podcheck(objects: Sequence[Mapping[str, object]], *, file: str) -> tuple[Finding, ...]:
    """One finding for each thing that the standard refuses, and for each object not judged.

    The platform's own kinds hold no pods: an operator makes those. Raises CouldNotCheck if the tool
    is missing or does not answer.
    """
    due = [o for o in objects if not str(o.get("apiVersion")).startswith(f"{GROUP}/")]
    findings = []
    for item, verdict in zip(due, judge_pods(due), strict=True):
        metadata = item.get("metadata")
        name = metadata.get("name") if isinstance(metadata, Mapping) else None
        label = f"{item.get('kind', '?')}/{name or '?'}"
        rule = MANIFEST_NOT_CHECKED if verdict.holds == "unknown" else MANIFEST_POD_SECURITY
        at = Location(f"{file}#{label}")
        findings += [rule.finding(f"{label}: {problem}", at) for problem in verdict.problems]
    return tuple(findings)


def judge_pods(
    objects: Sequence[Mapping[str, object]], *, level: str = "restricted", version: str = "latest"
) -> tuple[PodVerdict, ...]:
    """The verdict on each object, in order; `version` is the standard's, such as `v1.34`.

    Raises CouldNotCheck if the tool is missing or does not answer for every object.
    """
    if not objects:
        return ()
    asked = json.dumps({"level": level, "version": version, "objects": list(objects)})
    try:
        done = run_tool_confined(find_tool("podcheck"), (), files={}, stdin=asked.encode())
    except OverBound as error:
        raise Unrenderable(f"the objects are too much to judge: {error.message}") from error
    said = done.stderr.decode("utf-8", "replace").strip()[:300]
    try:
        answers = json.loads(done.stdout)
        verdicts = tuple(_verdict(answer) for answer in answers)
    except (ValueError, TypeError, KeyError) as error:
        raise CouldNotCheck(f"podcheck gave no answer: {said}") from error
    if done.exit_code != 0 or len(verdicts) != len(objects):
        raise CouldNotCheck(f"podcheck did not judge every object: {said}")
    return verdicts


def _verdict(answer: Mapping[str, object]) -> PodVerdict:
    holds, problems = answer["holds"], answer["problems"]
    if holds not in ("pod", "nothing", "unknown") or not isinstance(problems, list):
        raise ValueError("no verdict")
    if holds == "unknown" and not problems:
        raise ValueError("no verdict")
    return PodVerdict(holds, tuple(str(p) for p in problems))

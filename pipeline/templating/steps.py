"""The steps of a Backstage template: how they use the skeleton and shared folders. Pure.

One `fetch:template` step renders the skeleton. Each `fetch:plain` step copies a shared folder, as
it is, below the same target. Other actions (publish, register) are Backstage's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from pipeline.templating.files import is_plain_glob, is_safe_path

MANIFEST: Final = "template.yaml"
SHARED: Final = "shared/"
_SHARED_URL = re.compile(r"\.\./\.\./shared/([a-z][a-z0-9-]*)/?\Z")


@dataclass(frozen=True, slots=True)
class Steps:
    """Globs of files that are only copied, each shared folder with its target, and the names of the
    values passed to the skeleton."""

    copy_only: tuple[str, ...] = ()
    shares: tuple[tuple[str, str], ...] = ()
    passed: frozenset[str] = frozenset()


def parse_steps(steps: object, reasons: list[str]) -> Steps:
    """The effect of the steps; adds problems to `reasons`."""
    if not isinstance(steps, list) or not steps:
        reasons.append(f"{MANIFEST}: spec.steps is missing")
        return Steps()
    for index, step in enumerate(steps):
        if not isinstance(_mapping(step).get("action"), str):
            reasons.append(f"{MANIFEST}: spec.steps[{index}] has no action")
    fetches = [*_inputs_of(steps, "fetch:template")]
    if len(fetches) != 1:
        reasons.append(f"{MANIFEST}: expected one step fetch:template, found {len(fetches)}")
        return Steps()
    fetch = fetches[0]
    if fetch.get("url") not in ("./skeleton", "skeleton"):
        reasons.append(f"{MANIFEST}: fetch:template has url {fetch.get('url')!r}, not './skeleton'")
    for option in sorted({*fetch} - {"url", "targetPath", "values", "copyWithoutTemplating"}):
        # Backstage accepts `copyWithoutRender`, for example, but never reads it.
        reasons.append(f"{MANIFEST}: fetch:template option {option!r} is not supported")
    shares = tuple(_shares(steps, str(fetch.get("targetPath", ".")), reasons))
    globs = fetch.get("copyWithoutTemplating", [])
    if not isinstance(globs, list) or not all(isinstance(glob, str) for glob in globs):
        reasons.append(f"{MANIFEST}: copyWithoutTemplating is not a list of globs")
        globs = []
    for glob in globs:
        if not is_plain_glob(glob):
            reasons.append(f"{MANIFEST}: glob {glob!r} uses more than names, `*`, `**` and `?`")
    copy_only = tuple(glob for glob in globs if is_plain_glob(glob))
    return Steps(copy_only, shares, frozenset(map(str, _mapping(fetch.get("values")))))


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _inputs_of(steps: list[object], action: str) -> Iterator[Mapping[str, object]]:
    for step in steps:
        if _mapping(step).get("action") == action:
            yield _mapping(_mapping(step).get("input"))


def _shares(steps: list[object], top: str, reasons: list[str]) -> Iterator[tuple[str, str]]:
    for fetch in _inputs_of(steps, "fetch:plain"):
        url, target = str(fetch.get("url")), str(fetch.get("targetPath"))
        named = _SHARED_URL.match(url)
        folder = target.removeprefix(f"{top}/")
        if named is None:
            reasons.append(f"{MANIFEST}: fetch:plain has url {url!r}, not '../../shared/NAME'")
        elif folder == target or not is_safe_path(folder) or "$" in folder:
            reasons.append(f"{MANIFEST}: fetch:plain has targetPath {target!r}, not below {top!r}")
        else:
            yield named[1], folder
        for option in sorted({*fetch} - {"url", "targetPath"}):
            reasons.append(f"{MANIFEST}: fetch:plain option {option!r} is not supported")

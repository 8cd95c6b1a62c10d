"""Rules of patches: which files an agent's patch may touch, and how much.

They are applied twice: to the request at validation, and to the resulting tree before the commit
(`pipeline.stages.patch`), since a description may differ from its effect.
What a patch may contain: docs/model.md §7.2.
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from collections.abc import Iterator
from typing import assert_never

from pipeline.diagnostics import Finding, Location, Rule, Subject, register
from pipeline.documents import ParsedDocument
from pipeline.models.base import API_VERSION
from pipeline.models.requests import DeleteFile, DraftPatch, ReplaceText, WriteFile

MAX_FILE_BYTES = 512 * 1024
MAX_PATCH_BYTES = 1024 * 1024
_HEAD = f"""apiVersion: {API_VERSION}
kind: DraftPatch
draft: acme/order-router
base_commit: 0123456789abcdef0123456789abcdef01234567
summary: Sort partners by lead time
changes:
"""


def patch_example(path: str, content: str = "x = 1", op: str = "write") -> str:
    """An example patch request with one change."""
    field = "content" if op == "write" else "unused"
    body = f"  - op: {op}\n    path: {path}\n"
    return _HEAD + body + (f'    {field}: "{content}"\n' if op == "write" else "")


PATCH_PATH_UNSAFE = register(
    Rule(
        id="patch-path-unsafe",
        summary="A patch's paths are relative and stay inside the primitive's folder.",
        why="`..`, absolute or oddly spelled paths reach other people's files",
        fix="use a path below the primitive's folder, with `/` and without `.`, `..` or `\\`",
        subject=Subject.PATCH,
        fails=patch_example("../other/main.py"),
        passes=patch_example("src/order_router/routing.py"),
    )
)
PATCH_PATH_PROTECTED = register(
    Rule(
        id="patch-path-protected",
        summary="Patches don't change files that control the code's checks, owners or Git "
        "settings.",
        why="whoever can change their own checks is not checked",
        fix="leave the file out; the tenant's engineers change it with their own pull request",
        subject=Subject.PATCH,
        fails=patch_example(".github/workflows/ci.yaml"),
        passes=patch_example("src/order_router/routing.py"),
    )
)
PATCH_PATH_TWICE = register(
    Rule(
        id="patch-path-twice",
        summary="A patch changes each file once, and no two paths differ only by case.",
        why="two changes of one file have no order; case-only differences clash on checkout",
        fix="merge the changes of a file into one",
        subject=Subject.PATCH,
        fails=_HEAD
        + "  - {op: write, path: src/a.py, content: x}\n"
        + "  - {op: write, path: src/A.py, content: y}\n",
        passes=_HEAD
        + "  - {op: write, path: src/a.py, content: x}\n"
        + "  - {op: write, path: src/b.py, content: y}\n",
    )
)
PATCH_TOO_LARGE = register(
    Rule(
        id="patch-too-large",
        summary="A file has at most 512 KiB, and all files of a patch 1 MiB.",
        why="nobody can review a larger change",
        fix="split the patch; keep binary files out of it",
        subject=Subject.SCENARIO,
        fails="one file of 513 KiB",
        passes="one file of 512 KiB",
    )
)
PATCH_CONTENT = register(
    Rule(
        id="patch-content",
        summary="A written file has either `content` or `content_base64`, and it is valid.",
        why="with both or neither it is unclear what to write",
        fix="give exactly one; base64 in the standard alphabet, padded",
        subject=Subject.PATCH,
        fails=_HEAD + "  - {op: write, path: src/a.py}\n",
        passes=patch_example("src/a.py"),
    )
)
PATCH_BASE_STALE = register(
    Rule(
        id="patch-base-stale",
        summary="The files that a patch changes are unchanged since its `base_commit`.",
        why="otherwise the patch could undo somebody's later change",
        fix="read the files again (`pipeline draft files`) and write the patch against them",
        subject=Subject.SCENARIO,
        fails="patch 0002 changes a file that patch 0001 changed after its base commit",
        passes="patch 0002 changes another file",
    )
)
PATCH_DOES_NOT_APPLY = register(
    Rule(
        id="patch-does-not-apply",
        summary="Text to replace occurs exactly once in its file; files to delete exist.",
        why="a change that fits nowhere, or twice, was written for another file",
        fix="include more of the surrounding text, or write the whole file",
        subject=Subject.SCENARIO,
        fails="`old` occurs twice in the file",
        passes="`old` occurs once in the file",
    )
)
PATCH_CHANGES_NOTHING = register(
    Rule(
        id="patch-changes-nothing",
        summary="A patch changes something.",
        why="an empty commit would hide that nothing was left to do",
        fix="drop the patch",
        subject=Subject.SCENARIO,
        fails="every file written has the content it already has",
        passes="one file differs",
    )
)
PATCH_SECRET = register(
    Rule(
        id="patch-secret",
        summary="No file in a patch or in the control repo holds a credential.",
        why="everybody who can clone the repository can read its history",
        fix="revoke the credential; read it from the environment instead",
        subject=Subject.SCENARIO,
        fails="a file with an access key of a cloud provider",
        passes="a file that reads the key from the environment",
    )
)

PATCH_NOT_JUDGED = register(
    Rule(
        id="patch-not-judged",
        summary="A patch's effect is known before it is merged.",
        why="a patch that couldn't be tried may do anything",
        fix="see the message; once the repository can be read, judge the pull request again",
        subject=Subject.SCENARIO,
        fails="the repository of the draft's code is not there",
        passes="the repository of the draft's code can be read",
        could_not_check=True,
    )
)


def secret_finding(path: str, line: int, kind: str, at: Location) -> Finding:
    """The finding for a credential in line `line` of a file, without the credential itself."""
    return PATCH_SECRET.finding(
        f"`{path}` line {line} holds a credential: {kind}",
        at,
        help=f"revoke this credential ({kind}) now, since whoever reads the branch has it; have "
        "the code read it from its environment, and ask again from a new branch",
    )


_PROTECTED_NAMES = {
    ".git",
    ".gitattributes",
    ".gitmodules",
    ".github",
    ".gitlab-ci.yml",
    ".gitleaks.toml",
    ".gitleaksignore",
    "codeowners",
    "catalog-info.yaml",
    "requirements.lock",
    "requirements-dev.lock",
    "sdk",
}
# Names of devices on Windows, with any extension and with trailing spaces before it; the
# superscript digits count as digits. Source: Microsoft, "Naming Files, Paths, and Namespaces".
_DEVICE = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9\u00b9\u00b2\u00b3]) *(?:\.|\Z)",
    re.IGNORECASE,
)
_SHORT_NAME = re.compile(r"git~", re.IGNORECASE)
# Linux: NAME_MAX; the same on most file systems (`limits.h`).
PART_BYTES_MAXIMUM = 255
# Within PATH_MAX of Linux and MAX_PATH of Windows, not counting the folders above.
PATH_BYTES_MAXIMUM = 400


def path_problem(path: str) -> str:
    """Why a path is unsafe, or an empty string."""
    size_bytes = len(path.encode("utf-8", "surrogatepass"))
    if not path or size_bytes > PATH_BYTES_MAXIMUM:
        return f"is empty or longer than {PATH_BYTES_MAXIMUM} bytes"
    if unicodedata.normalize("NFC", path) != path or any(
        unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for c in path
    ):
        return "holds characters that look like others or like nothing"
    if "\\" in path or ":" in path or path.startswith(("/", "~")):
        return "is absolute or holds `\\`, `:` or a leading `~`"
    for part in path.split("/"):
        if part in {"", ".", ".."}:
            return "holds an empty part, `.` or `..`"
        if part.endswith((" ", ".")) or part.startswith((" ", "-")):
            return "holds a part that starts with space or `-`, or ends in space or `.`"
        if len(part.encode("utf-8", "surrogatepass")) > PART_BYTES_MAXIMUM:
            return f"holds a part that is longer than {PART_BYTES_MAXIMUM} bytes"
        if _DEVICE.match(part) or _SHORT_NAME.match(part):
            return f"holds `{part}`, which some file systems read as another name"
    return ""


def is_protected(path: str) -> bool:
    """Whether a file governs the code (checks, owners, locks), so patches may not touch it."""
    parts = [part.lower() for part in path.split("/")]
    return any(part in _PROTECTED_NAMES for part in parts)


def content_of(change: WriteFile) -> bytes | None:
    """The bytes that a change writes; None if it has no content, both kinds, or bad base64."""
    if (change.content is None) == (change.content_base64 is None):
        return None
    if change.content is not None:
        return change.content.encode()
    try:
        return base64.b64decode(change.content_base64 or "", validate=True)
    except (binascii.Error, ValueError):
        return None


def check_patch(patch: DraftPatch, document: ParsedDocument) -> Iterator[Finding]:
    """Findings for a patch by itself: paths, sizes, contents."""
    seen: dict[str, str] = {}
    total = 0
    for index, change in enumerate(patch.changes):
        at = document.position_of(("changes", index, "path"))
        problem = path_problem(change.path)
        if problem:
            yield PATCH_PATH_UNSAFE.finding(f"`{printable(change.path)}` {problem}", at)
        elif is_protected(change.path):
            yield PATCH_PATH_PROTECTED.finding(f"`{change.path}` is closed to patches", at)
        folded = change.path.casefold()
        if folded in seen:
            yield PATCH_PATH_TWICE.finding(
                f"`{printable(change.path)}` and `{printable(seen[folded])}` are one file", at
            )
        seen[folded] = change.path
        match change:
            case WriteFile():
                content = content_of(change)
                if content is None:
                    yield PATCH_CONTENT.finding(
                        f"`{printable(change.path)}` needs exactly one well-formed content", at
                    )
                size = len(content or b"")
            case ReplaceText():
                size = len(change.new.encode())
            case DeleteFile():
                size = 0
            case _:
                assert_never(change)
        total += size
        if size > MAX_FILE_BYTES:
            yield PATCH_TOO_LARGE.finding(
                f"`{printable(change.path)}` has {size:,} bytes; {MAX_FILE_BYTES:,} are allowed", at
            )
    if total > MAX_PATCH_BYTES:
        yield PATCH_TOO_LARGE.finding(
            f"the files have {total:,} bytes together; {MAX_PATCH_BYTES:,} are allowed",
            document.position_of(("changes",)),
        )


def printable(text: str) -> str:
    """Hostile text made visible: unprintable characters become escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)

"""The local forge's `pre-receive` hook: which branches a person's plain `git push` may move.

A hook cannot tell who pushes, so a branch whose rule limits pushes is closed to all plain pushes,
and so is any branch that would block such a name; pull requests and the pipeline go through
`pipeline.forges.local.forge`. The hook fails closed: without its list of patterns it refuses
everything.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from pipeline.forges.branch_rules import closed_patterns
from pipeline.forges.port import BranchRule

_HOOK = """#!/bin/sh
# Closed to plain pushes: all but branches, and branches whose rule says who may push.
set -u
protected="$(dirname "$0")/protected"
if [ ! -r "$protected" ]; then
  echo "this repository has lost its list of protected branches" >&2
  exit 1
fi
while read -r old new ref; do
  case "$ref" in
    refs/heads/*) ;;
    *) echo "only branches can be pushed here, not $ref" >&2; exit 1 ;;
  esac
  while IFS= read -r pattern; do
    case "$ref" in
      refs/heads/$pattern) echo "$ref is protected: open a pull request" >&2; exit 1 ;;
    esac
  done < "$protected" || exit 1
done
exit 0
"""


def write_hook(repository: Path, rules: Iterable[BranchRule]) -> None:
    """Write the hook and its patterns for the rules, if they differ."""
    hooks = repository / "hooks"
    hooks.mkdir(exist_ok=True)
    patterns = closed_patterns(rules)
    _write(hooks / "protected", "".join(f"{pattern}\n" for pattern in patterns), 0o644)
    _write(hooks / "pre-receive", _HOOK, 0o755)


def _write(path: Path, text: str, mode: int) -> None:
    if path.is_file() and path.stat().st_mode & 0o777 == mode and path.read_text() == text:
        return
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    staged.write_text(text)
    staged.chmod(mode)
    staged.replace(path)

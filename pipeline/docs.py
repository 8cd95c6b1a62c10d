"""Writes the generated pages anew: `python -m pipeline.docs`, or `--check` to see if they are.

`PRODUCERS` lists every generated file and the function that makes its bytes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from pipeline.cli.page import render_commands_page
from pipeline.crds import (
    KINDS,
    definition_file,
    definition_path,
    json_schema_file,
    json_schema_path,
)
from pipeline.publish.request_form import FORM_FILES, render_request_form
from pipeline.publish.schemas import SCHEMAS, render_schema, schema_of
from pipeline.publish.starter import starter_part, starter_parts
from pipeline.releases.allowlist import load_allowed
from pipeline.releases.template_functions import load_functions
from pipeline.render.authority import render_authority_page
from pipeline.render.kinds import render_requests_page
from pipeline.render.manifests import render_manifests_page
from pipeline.render.rules import render_rules_page
from pipeline.requests.kinds import KINDS as REQUESTS
from pipeline.rules import load_rules
from pipeline.templates import LazyTemplates


def rules_page() -> bytes:
    """The page of all rules."""
    return render_rules_page(load_rules())


def requests_page() -> bytes:
    """The page of all kinds of request."""
    return render_requests_page(REQUESTS)


def commands_page() -> bytes:
    """The page of all commands."""
    return render_commands_page()


def authority_page() -> bytes:
    """The page on who may ask for and approve which change."""
    return render_authority_page()


def manifests_page() -> bytes:
    """The page on what manifests may contain."""
    return render_manifests_page(load_allowed(), load_functions())


def schema_file(kind: str) -> bytes:
    """The JSON Schema of one kind."""
    return render_schema(schema_of(kind)).encode()


def request_form(path: str) -> bytes:
    """One file of the form that requests a primitive."""
    return render_request_form(LazyTemplates())[path]


_TOP = Path(__file__).resolve().parent.parent
_PARTS = starter_parts(
    path.relative_to(_TOP).as_posix() for path in sorted(_TOP.glob("environments/*/*.yaml"))
)


def starter_file(path: str) -> bytes:
    """One file for `pipeline init`, made from this checkout's own."""
    return starter_part(path, (_TOP / _PARTS[path]).read_bytes())


PRODUCERS: tuple[tuple[str, Callable[[], bytes]], ...] = (
    ("docs/rules.md", rules_page),
    ("docs/requests.md", requests_page),
    ("docs/cli.md", commands_page),
    ("docs/authority.md", authority_page),
    ("docs/manifests.md", manifests_page),
    *(
        (f"schemas/{stem}.schema.json", partial(schema_file, kind))
        for kind, stem in sorted(SCHEMAS.items())
    ),
    *((path, partial(request_form, path)) for path in FORM_FILES),
    *((f"pipeline/starter/{path}", partial(starter_file, path)) for path in _PARTS),
    *((definition_path(kind), partial(definition_file, kind)) for kind in KINDS),
    *((json_schema_path(kind), partial(json_schema_file, kind)) for kind in KINDS),
)


def read_stale(root: Path) -> tuple[tuple[str, bytes], ...]:
    """Each generated file below `root` that is missing or differs, with its right bytes."""
    made = ((path, produce()) for path, produce in PRODUCERS)
    return tuple(
        (path, content)
        for path, content in made
        if not (root / path).is_file() or (root / path).read_bytes() != content
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 if all is fresh or now written, 1 if `--check` found something stale."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.docs", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if stale")
    parser.add_argument("--root", type=Path, default=Path(), help="the checkout (default: here)")
    options = parser.parse_args(arguments)
    stale = read_stale(options.root)
    for path, content in stale:
        if options.check:
            print(f"{path} is stale; run `make docs`", file=sys.stderr)
            continue
        target = options.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        print(f"wrote {path}")
    return 1 if stale and options.check else 0


if __name__ == "__main__":
    sys.exit(main())

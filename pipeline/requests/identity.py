"""Rules of identity: a request's path identifies it, and its content may not disagree.

The meaning of paths: docs/model.md §7. Ids: docs/model.md §4.3.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from pipeline.diagnostics import Finding, Location, Rule, Subject, register
from pipeline.documents import ParsedDocument
from pipeline.git.objects import MODE_EXECUTABLE, MODE_FILE, MODE_SUBMODULE, MODE_SYMLINK
from pipeline.models.base import API_VERSION
from pipeline.requests.layout import RequestPath

_DRAFT = f"""# file: tenants/acme/drafts/order-router/draft.yaml
apiVersion: {API_VERSION}
kind: PrimitiveImplementationDraft
id: {{id}}
tenant_id: {{tenant}}
primitive_type: domain
primitive_id: {{primitive}}
template_id: domain@1.0.0
code_origin: tenant
target_repo: tenant-acme-controllers
parameters:
  description: {{description}}
  owner: acme-engineers
  entities: [order, route]
"""


def draft_example(
    id: str = "acme/order-router",
    tenant: str = "acme",
    primitive: str = "order-router",
    description: str = "Routes orders",
) -> str:
    """An example draft request, with any of these fields changed."""
    return _DRAFT.format(id=id, tenant=tenant, primitive=primitive, description=description)


PATH_UNKNOWN = register(
    Rule(
        id="path-unknown",
        summary="Every file under `tenants/`, `releases/` and `environments/` is a request at a "
        "known path.",
        why="a file that nothing reads looks like a request and isn't one",
        fix="move it to a known path, or out of these folders",
        subject=Subject.REQUEST,
        fails="# file: tenants/acme/drafts/order-router/drafts.yaml\nkind: X\n",
        passes=draft_example(),
    )
)
PATH_NOT_A_FILE = register(
    Rule(
        id="path-not-a-file",
        summary="The control repo holds plain files: no symbolic links, no submodules.",
        why="a reviewer sees a link's name, while readers follow it to other content",
        fix="commit the file itself, or remove the entry",
        subject=Subject.SCENARIO,
        fails="`tenants/acme/tenant.yaml` is a symbolic link to another tenant's file",
        passes="`tenants/acme/tenant.yaml` is a file",
    )
)
REQUEST_KIND = register(
    Rule(
        id="request-kind",
        summary="`kind` matches the file's path.",
        why="the path decides what a file is",
        fix="write the kind that belongs to the path, or move the file",
        subject=Subject.REQUEST,
        fails="# file: tenants/acme/tenant.yaml\nkind: Platform\n",
        passes=draft_example(),
    )
)
REQUEST_PATH_MISMATCH = register(
    Rule(
        id="request-path-mismatch",
        summary="Ids in a request match its path.",
        why="the path decides the tenant and the draft, so the content can't reach another one",
        fix="use the ids of the path, or move the file",
        subject=Subject.REQUEST,
        fails=draft_example(id="acme/order-router-two"),
        passes=draft_example(),
    )
)
CROSS_TENANT_REFERENCE = register(
    Rule(
        id="cross-tenant-reference",
        summary="A tenant's request names no other tenant, in any field.",
        why="tenants must not reach each other, and naming is the first step",
        fix="remove the other tenant's name; the platform requests what both need",
        subject=Subject.REQUEST,
        fails=draft_example(description="Mirrors what contoso has"),
        passes=draft_example(),
    )
)
TENANT_MISSING = register(
    Rule(
        id="tenant-missing",
        summary="A tenant's folder has a valid `tenant.yaml`.",
        why="it says who owns the draft and whether custom code is allowed",
        fix="add `tenants/<id>/tenant.yaml`, or fix the findings in it",
        subject=Subject.REQUEST,
        fails=draft_example("newco/order-router", "newco").replace("tenants/acme", "tenants/newco"),
        passes=draft_example(),
    )
)
DRAFT_MISSING = register(
    Rule(
        id="draft-missing",
        summary="Patches and promotions stand beside a valid `draft.yaml`.",
        why="they change a draft, so the draft has to exist",
        fix="create the draft first: `pipeline draft create`",
        subject=Subject.REQUEST,
        fails=f"""# file: tenants/acme/drafts/no-such-draft/promotions/dev.yaml
apiVersion: {API_VERSION}
kind: Promotion
draft: acme/no-such-draft
environment: dev
release:
  source_commit: 0123456789abcdef0123456789abcdef01234567
reason: Try it
""",
        passes=draft_example(),
    )
)

_NAMED_FREELY = ("Waiver", "ReleaseGroup")
_WORD = re.compile(r"[a-z0-9]+(?:-+[a-z0-9]+)*")


def check_entries(entries: Iterable[tuple[str, int]]) -> Iterator[Finding]:
    """One finding for each entry (path, mode) of a commit that is not a plain file."""
    for path, mode in entries:
        if mode not in (MODE_FILE, MODE_EXECUTABLE):
            what = {MODE_SYMLINK: "a symbolic link", MODE_SUBMODULE: "a submodule"}.get(
                mode, f"of mode {mode:o}"
            )
            yield PATH_NOT_A_FILE.finding(f"`{path}` is {what}", Location(path))


def check_identity(meaning: RequestPath, document: ParsedDocument) -> Iterator[Finding]:
    """Findings for ids in the body that differ from the path."""
    value = document.value or {}
    told = {
        "tenant_id": meaning.tenant,
        "primitive_id": meaning.primitive,
        "id": meaning.draft,
        "draft": meaning.draft,
        # The author of a waiver or a group chooses its name freely.
        "environment": value.get("environment") if meaning.kind in _NAMED_FREELY else meaning.name,
        "acknowledgement": meaning.name,
    }
    for field, expected in told.items():
        if field in value and value[field] != expected:
            yield REQUEST_PATH_MISMATCH.finding(
                f"`{field}` is `{value[field]}`, the path says `{expected}`",
                document.position_of((field,)),
            )


@dataclass(frozen=True, slots=True)
class OtherTenants:
    """The tenants that one tenant's requests may not name.

    `longest` is the most parts that any of their ids has: no more parts of a word are joined, so a
    word of many parts stays cheap.
    """

    ids: frozenset[str]
    first_parts: frozenset[str]
    longest: int

    @staticmethod
    # One per tenant; worlds are measured with 1,000 (`bench/`).
    @lru_cache(maxsize=1024)
    def of(tenant_ids: frozenset[str], own: str) -> OtherTenants:
        """All tenants but `own` and the platform."""
        ids = tenant_ids - {own, "platform"}
        parts = [id.split("-") for id in ids]
        return OtherTenants(ids, frozenset(p[0] for p in parts), max(map(len, parts), default=0))


def check_other_tenants(
    meaning: RequestPath, document: ParsedDocument, tenant_ids: Collection[str]
) -> Iterator[Finding]:
    """Findings for every string, key or value, that names a tenant other than the path's.

    A name counts as whole parts between dashes: `contoso`, `tenant-contoso`, `contoso-db`,
    `for-contoso`; `orders` does not mention a tenant `order`. Base64 is decoded first. What others
    signed is left out: nothing is done with it but to compare digests.
    """
    if not meaning.tenant or meaning.tenant == "platform":
        return
    others = OtherTenants.of(frozenset(tenant_ids), meaning.tenant)
    if not others.longest:
        return
    for path, text, is_key in _strings(document.value, ()):
        if meaning.kind == "ExternalStatement" and path == ("bundle",):
            continue
        if path[-1:] == ("content_base64",) and not is_key:
            text = _decoded(text)
        named = sorted(set(_tenants_named(text.lower(), others)))
        if named:
            yield CROSS_TENANT_REFERENCE.finding(
                f"names tenant `{named[0]}`; the request belongs to `{meaning.tenant}`",
                document.position_of(path, key=is_key),
            )


def _decoded(text: str) -> str:
    """The decoded text of base64, with replacements for other bytes; empty if it is not base64."""
    try:
        return base64.b64decode(text, validate=True).decode("utf-8", "replace")
    except ValueError:
        return ""


def _tenants_named(text: str, others: OtherTenants) -> Iterator[str]:
    for word in _WORD.findall(text):
        parts = word.split("-")
        for start, first in enumerate(parts):
            if first not in others.first_parts:
                continue
            for end in range(start + 1, min(start + others.longest, len(parts)) + 1):
                candidate = "-".join(parts[start:end])
                if candidate in others.ids:
                    yield candidate


def _strings(
    value: object, path: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], str, bool]]:
    if isinstance(value, str):
        yield path, value, False
    elif isinstance(value, dict):
        for key, child in value.items():
            yield (*path, key), str(key), True
            yield from _strings(child, (*path, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _strings(child, (*path, index))

"""The branch of `acme/order-router` that test patches apply to, and the result of applying them."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.diagnostics import RULES, Finding, Location
from pipeline.git.objects import MODE_FILE, blob_id
from pipeline.models.requests import DraftPatch
from pipeline.plan.patches import Listing, PatchGround, PatchResult, patched_folder
from pipeline.plan.view import Caused, PatchInput
from pipeline.requests.kinds import parse_request
from pipeline.requests.layout import patch_path
from tests.support import fact_history as history
from tests.support.samples import DRAFT, findings_of

PATCH_FILE = patch_path(DRAFT, "0001")
BRANCH: Mapping[str, bytes] = {
    "README.md": b"# order-router\n",
    "src/order_router/app.py": b"NAME = 'order-router'\nTIMEOUT_S = 5\n",
    "src/order_router/twice.py": b"x = 1\nx = 1\n",
}


def listing_of(files: Mapping[str, bytes]) -> Listing:
    """Files as the listing of a folder."""
    return {path: (MODE_FILE, blob_id(content)) for path, content in files.items()}


def patch_input(
    patch: DraftPatch,
    *,
    now: Mapping[str, bytes] = BRANCH,
    then: Mapping[str, bytes] | None = BRANCH,
    findings: tuple[Finding, ...] = (),
) -> PatchInput:
    """A patch that is due: the branch holds `now` and held `then` at the patch's base commit."""
    return PatchInput(
        number="0001",
        patch=patch,
        caused=Caused(history.cause_of(PATCH_FILE), 0),
        head=history.id_of("scaffold"),
        result=patched_folder(patch, patch_ground(now, then, findings)),
        parents=(),
    )


def patch_ground(
    now: Mapping[str, bytes], then: Mapping[str, bytes] | None, findings: tuple[Finding, ...] = ()
) -> PatchGround:
    """The branch that a patch applies to: it holds `now` and held `then` at the base commit."""
    before = None if then is None else listing_of(then)
    return PatchGround(listing_of(now), before, now, findings)


def patch_of(content: bytes) -> DraftPatch:
    """The patch in a request file's bytes."""
    read, findings = parse_request(PATCH_FILE, content)
    assert read is not None and isinstance(read.model, DraftPatch), findings
    return read.model


def apply_patch(
    content: bytes,
    *,
    now: Mapping[str, bytes] = BRANCH,
    then: Mapping[str, bytes] | None = BRANCH,
) -> PatchResult:
    """The branch's files after the patch."""
    return patched_folder(patch_of(content), patch_ground(now, then))


def patch_findings(content: bytes) -> tuple[Finding, ...]:
    """Findings about a patch's request; without any, about its effect on the branch."""
    found = findings_of(PATCH_FILE, content)
    if found:
        return found
    reasons = apply_patch(content).reasons
    assert all(reason.code in RULES for reason in reasons)
    return tuple(Finding(r.code, r.message, Location("result")) for r in reasons)

"""The sample control repo of this checkout, as a world to judge single files in.

The samples hold no `acme/order-router`, which the demo's agent asks for; here its draft is added,
so that patches and promotions of it refer to something.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from pipeline.diagnostics import Finding
from pipeline.models.requests import Environment, Platform, PrimitiveImplementationDraft, Tenant
from pipeline.requests.identity import draft_example
from pipeline.requests.kinds import parse_request
from pipeline.requests.layout import REQUEST_ROOTS, SIGNERS_PATH, draft_path
from pipeline.requests.snapshot import ReadRequest, Snapshot, snapshot_of
from pipeline.stages.validate import check_requests
from pipeline.templates import list_builtin_templates, read_builtin_template
from pipeline.templating import Template

ROOT = Path(__file__).resolve().parents[2]
DRAFT = "acme/order-router"
# The commit that patches of the examples were made against.
PATCH_BASE = "0123456789abcdef0123456789abcdef01234567"


@lru_cache(maxsize=1)
def sample_files() -> Mapping[str, bytes]:
    """Path → bytes of this checkout's control repo."""
    return {
        path.relative_to(ROOT).as_posix(): path.read_bytes()
        for root in REQUEST_ROOTS
        for path in sorted((ROOT / root).rglob("*"))
        if path.is_file()
    }


@lru_cache(maxsize=1)
def templates() -> Mapping[str, Template]:
    """The golden templates by name."""
    return {name: read_builtin_template(name) for name in list_builtin_templates()}


@lru_cache(maxsize=1)
def world_files() -> Mapping[str, bytes]:
    """The samples, with the draft and the signer that rules, patches and promotions refer to."""
    board = b"""signers:
  - name: change-board
    signs: [statements]
    workflow: {repository: ameide/change-board}
"""
    signers = sample_files()[SIGNERS_PATH].replace(b"signers:\n", board, 1)
    more = {draft_path(DRAFT): draft_example().encode(), SIGNERS_PATH: signers}
    return {**sample_files(), **more}


@lru_cache(maxsize=512)
def _read(path: str, content: bytes) -> tuple[ReadRequest | None, tuple[Finding, ...]]:
    return parse_request(path, content)


def snapshot_and_findings(
    files: Mapping[str, bytes], now_s: int | None = None
) -> tuple[Snapshot, tuple[Finding, ...]]:
    """The snapshot of a whole control repo and every finding in it, were it merged at a moment."""
    results = [_read(path, content) for path, content in sorted(files.items())]
    reads = [read for read, _ in results if read is not None]
    blobs = {path: f"{index:040x}" for index, path in enumerate(sorted(files))}
    snapshot = snapshot_of("c" * 40, blobs, reads)
    form = [finding for _, findings in results for finding in findings]
    return snapshot, check_requests(reads, form, snapshot, templates(), now_s=now_s)


def findings_of(path: str, content: bytes, **also: bytes) -> tuple[Finding, ...]:
    """Findings about one file at `path` in the sample world."""
    found = snapshot_and_findings({**world_files(), **also, path: content})[1]
    return tuple(finding for finding in found if finding.location.file == path)


@lru_cache(maxsize=1)
def sample_snapshot() -> Snapshot:
    """The sample world's requests."""
    return snapshot_and_findings(world_files())[0]


# The environments of the samples, in the order of their graph.
ENVIRONMENTS = ("dev", "staging", "prod")


def sample_platform() -> Platform:
    """The sample platform."""
    platform = sample_snapshot().platform
    assert platform is not None
    return platform


def sample_environment(name: str) -> Environment:
    """One sample environment."""
    return sample_snapshot().environments[name]


def sample_tenant(name: str) -> Tenant:
    """One sample tenant."""
    tenant = sample_snapshot().tenant(name)
    assert tenant is not None
    return tenant


def sample_draft(name: str = DRAFT) -> PrimitiveImplementationDraft:
    """One sample draft."""
    draft = sample_snapshot().draft(name)
    assert draft is not None
    return draft


def tenant_example(tenant: str) -> str:
    """The file of a further tenant, owned by the platform's engineers."""
    return f"""apiVersion: pipeline.ameide.io/v1
kind: Tenant
tenant_id: {tenant}
sku: Shared
custom_code: true
risk_tier: LOW
owners: [platform-engineers]
cost_centre: CC-7
"""

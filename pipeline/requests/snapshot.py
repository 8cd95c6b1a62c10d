"""The control repo as of one commit: every request parsed once, and found by its meaning.

Pure: bytes and blob ids come in, models and findings go out. `pipeline.control.repo` reads them.
A snapshot may be partial (`validate --since` loads what changed and what it depends on);
`blobs` always lists every request path, so existence is known without reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar

from pipeline.documents import ParsedDocument
from pipeline.models.draft_id import DraftId
from pipeline.models.release_groups import ReleaseGroup
from pipeline.models.requests import (
    BlockedDigests,
    DraftPatch,
    Environment,
    ExternalStatement,
    Halt,
    Platform,
    PrimitiveImplementationDraft,
    Promotion,
    Request,
    Retirement,
    Signers,
    Stop,
    Tenant,
    Waiver,
)
from pipeline.requests.layout import (
    BLOCKED_PATH,
    PLATFORM_PATH,
    SIGNERS_PATH,
    STOP_PATH,
    RequestPath,
    draft_folder,
    draft_path,
    retirement_path,
    tenant_path,
)
from pipeline.requests.order import EnvironmentPlace, ordered

R = TypeVar("R", bound=Request)


@dataclass(frozen=True, slots=True)
class LoadedRequest:
    """One request: its path, the path's meaning, the model, and its blob id."""

    path: str
    meaning: RequestPath
    model: Request
    blob: str


@dataclass(frozen=True)
class Snapshot:
    """The requests of one commit of the control repo."""

    commit: str
    blobs: Mapping[str, str]
    requests: Mapping[str, LoadedRequest] = field(default_factory=dict)

    def model_at(self, path: str, kind: type[R]) -> R | None:
        """The request of this kind at `path`, if it exists and is valid."""
        loaded = self.requests.get(path)
        return loaded.model if loaded and isinstance(loaded.model, kind) else None

    def with_request(self, asked: LoadedRequest) -> Snapshot:
        """The snapshot as if a request were merged."""
        return Snapshot(self.commit, self.blobs, {**self.requests, asked.path: asked})

    def beside(self, asked: Iterable[LoadedRequest]) -> Snapshot:
        """This policy with some drafts' requests, which change nothing of it."""
        more = {loaded.path: loaded for loaded in asked}
        made = Snapshot(self.commit, self.blobs, {**self.requests, **more})
        # Computed once for all that lie beside it.
        vars(made).update(platform=self.platform, environments=self.environments)
        return made

    @cached_property
    def platform(self) -> Platform | None:
        """The platform, if its file exists and is valid."""
        return self.model_at(PLATFORM_PATH, Platform)

    @cached_property
    def environments(self) -> Mapping[str, Environment]:
        """The valid environments by name, in the order of their graph."""
        found = {
            loaded.meaning.name: loaded.model
            for loaded in self.requests.values()
            if isinstance(loaded.model, Environment)
        }
        return {name: found[name] for name in ordered(places_of(found))}

    @cached_property
    def blocked_digests(self) -> frozenset[str]:
        """Digests that may run nowhere."""
        blocked = self.model_at(BLOCKED_PATH, BlockedDigests)
        return frozenset(b.digest for b in blocked.digests) if blocked else frozenset()

    @cached_property
    def blocked_reasons(self) -> Mapping[str, str]:
        """Blocked digest → the reason."""
        blocked = self.model_at(BLOCKED_PATH, BlockedDigests)
        return {b.digest: b.reason for b in blocked.digests} if blocked else {}

    @cached_property
    def signers(self) -> Signers | None:
        """The trusted signers, if the file exists and is valid."""
        return self.model_at(SIGNERS_PATH, Signers)

    @cached_property
    def stops(self) -> tuple[Halt, ...]:
        """The active stops. An unreadable file stops everything."""
        stop = self.model_at(STOP_PATH, Stop)
        if stop is None and STOP_PATH in self.blobs:
            return (Halt(reason=f"`{STOP_PATH}` cannot be read"),)
        return stop.stops if stop else ()

    @cached_property
    def tenant_ids(self) -> frozenset[str]:
        """Every tenant that has a file, valid or not."""
        return frozenset(
            path.split("/")[1]
            for path in self.blobs
            if path.startswith("tenants/")
            and path.endswith("/tenant.yaml")
            and path.count("/") == 2
        )

    def tenant(self, tenant_id: str) -> Tenant | None:
        """A tenant by id."""
        return self.model_at(tenant_path(tenant_id), Tenant)

    def draft(self, draft: str) -> PrimitiveImplementationDraft | None:
        """A draft by its id."""
        return self.model_at(draft_path(draft), PrimitiveImplementationDraft)

    @cached_property
    def _by_draft(self) -> Mapping[DraftId, tuple[LoadedRequest, ...]]:
        grouped: dict[DraftId, list[LoadedRequest]] = {}
        for path in sorted(self.requests):
            loaded = self.requests[path]
            if loaded.meaning.primitive:
                grouped.setdefault(loaded.meaning.draft, []).append(loaded)
            elif isinstance(loaded.model, ReleaseGroup):
                for draft in loaded.model.drafts:
                    grouped.setdefault(draft, []).append(part_of(loaded, loaded.model, draft))
        return {draft: tuple(found) for draft, found in grouped.items()}

    @cached_property
    def draft_ids(self) -> tuple[DraftId, ...]:
        """Ids of all drafts whose request is loaded and valid, sorted."""
        return tuple(d for d in sorted(self._by_draft) if draft_path(d) in self.requests)

    def drafts_of(self, tenant_id: str) -> tuple[DraftId, ...]:
        """Ids of the drafts whose request is loaded and valid, sorted."""
        prefix = f"{tenant_id}/"
        return tuple(draft for draft in self.draft_ids if draft.startswith(prefix))

    def requests_of(self, draft: str) -> tuple[LoadedRequest, ...]:
        """All requests of a draft that are loaded and valid, by path; its part of each release
        group is a promotion."""
        return self._by_draft.get(DraftId(draft), ())

    def tasks_of(self, draft: str) -> tuple[LoadedRequest, ...]:
        """A draft's requests that ask the pipeline to do something."""
        others = (Waiver, ExternalStatement)
        return tuple(r for r in self.requests_of(draft) if not isinstance(r.model, others))

    def patches_of(self, draft: str) -> tuple[LoadedRequest, ...]:
        """A draft's patches in the order of their numbers."""
        return tuple(r for r in self.requests_of(draft) if isinstance(r.model, DraftPatch))

    def waivers_of(self, draft: str) -> tuple[LoadedRequest, ...]:
        """A draft's waivers by name."""
        return tuple(r for r in self.requests_of(draft) if isinstance(r.model, Waiver))

    def promotions_of(self, draft: str) -> tuple[LoadedRequest, ...]:
        """A draft's promotion requests in the order of environments, unknown ones last."""
        found = [r for r in self.requests_of(draft) if isinstance(r.model, Promotion)]
        order = {name: at for at, name in enumerate(self.environments)}
        return tuple(sorted(found, key=lambda r: order.get(environment_of(r), len(order))))

    def retirement_of(self, draft: str) -> LoadedRequest | None:
        """The request to retire a draft, if there is a valid one."""
        loaded = self.requests.get(retirement_path(draft))
        return loaded if loaded and isinstance(loaded.model, Retirement) else None


def part_of(loaded: LoadedRequest, group: ReleaseGroup, draft: DraftId) -> LoadedRequest:
    """What a release group asks for one of its drafts, as a promotion at the group's path."""
    meaning = replace(loaded.meaning, tenant=draft.tenant, primitive=draft.primitive)
    promotion = group.promotion_of(draft)
    assert promotion is not None  # `draft` is one of the group's
    return replace(loaded, meaning=meaning, model=promotion)


def environment_of(loaded: LoadedRequest) -> str:
    """The environment that a promotion asks for; empty for any other request."""
    return loaded.model.environment if isinstance(loaded.model, Promotion) else ""


def places_of(environments: Mapping[str, Environment]) -> dict[str, EnvironmentPlace]:
    """Name → the place of each of these environments in their graph."""
    return {name: EnvironmentPlace(e.stage, e.promotes_from) for name, e in environments.items()}


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """One request file as read: parsed or refused, with the positions of its nodes."""

    path: str
    meaning: RequestPath
    document: ParsedDocument
    model: Request | None


def snapshot_of(commit: str, blobs: Mapping[str, str], read: Iterable[ReadRequest]) -> Snapshot:
    """The snapshot of the well-formed requests among those read."""
    requests = {
        r.path: LoadedRequest(r.path, r.meaning, r.model, blobs.get(r.path, ""))
        for r in read
        if r.model is not None
    }
    return Snapshot(commit, blobs, requests)


def paths_needed_by(paths: Iterable[str], blobs: Mapping[str, str]) -> frozenset[str]:
    """The paths to load to judge a change of `paths`: those, and what they depend on.

    A changed tenant or policy file needs every draft that it governs; a changed draft needs only
    its tenant and the policy.
    """
    changed = set(paths)
    needed = {p for p in changed if p in blobs}
    needed |= {p for p in blobs if p.startswith("environments/")}
    if any(p.startswith("environments/") for p in changed):
        return frozenset(needed | set(blobs))
    if any(p.startswith("releases/") for p in changed):
        # A group names drafts of any tenant, and its file is not read yet.
        needed |= {p for p in blobs if p.endswith(("/tenant.yaml", "/draft.yaml"))}
    for path in changed:
        parts = path.split("/")
        if len(parts) < 3 or parts[0] != "tenants":
            continue
        tenant = parts[1]
        if tenant_path(tenant) in blobs:
            needed.add(tenant_path(tenant))
        if parts[2] == "tenant.yaml":
            needed |= {p for p in blobs if p.startswith(f"tenants/{tenant}/")}
        elif len(parts) > 4 and parts[2] == "drafts":
            folder = draft_folder(f"{tenant}/{parts[3]}") + "/"
            own = draft_path(f"{tenant}/{parts[3]}")
            if path == own:
                needed |= {p for p in blobs if p.startswith(folder)}
            elif own in blobs:
                needed.add(own)
    return frozenset(needed)

"""Argo CD's `Application` objects as observations. Pure.

Field names are those of Argo CD's CRD `applications.argoproj.io` (v1alpha1). `status.sync.revision`
is the commit at which live and desired state were compared: the head of the whole repository, so
`pipeline.stages.observe` judges whether it concerns this overlay. `status.health` and
`status.summary.images` describe the live state, to which an `OutOfSync` application has not applied
that commit yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from pipeline.delivery.belonging import claims_of
from pipeline.delivery.objects import Object
from pipeline.delivery.parts import ManifestPart, ObjectMetadata, Seen, commit, moment, newest, told
from pipeline.models.evidence import Health, Observation, SyncState

API_VERSION, KIND = "argoproj.io/v1alpha1", "Application"
# Parts of a source that change what its folder renders to.
_OVERRIDES = ("helm", "kustomize", "plugin", "directory")


class _Source(ManifestPart):
    repoURL: str = ""  # noqa: N815 # Argo CD's name
    path: str | None = None
    helm: dict[str, object] | None = None
    kustomize: dict[str, object] | None = None
    plugin: dict[str, object] | None = None
    directory: dict[str, object] | None = None

    @property
    def place(self) -> tuple[str, str]:
        return self.repoURL, self.path or ""

    @property
    def overrides(self) -> list[str]:
        """The parts with which the source changes its folder; a pinned tool version is none."""
        return [n for n in _OVERRIDES if set(getattr(self, n) or ()) - {"version", "kubeVersion"}]


class _Destination(ManifestPart):
    namespace: str | None = None


class _Spec(ManifestPart):
    source: _Source | None = None
    sources: list[_Source] | None = None
    destination: _Destination = _Destination()

    @property
    def all_sources(self) -> list[_Source]:
        return self.sources or ([self.source] if self.source else [])


class _Sync(ManifestPart):
    status: str | None = None
    revision: str | None = None
    revisions: list[str] | None = None
    comparedTo: _Spec | None = None  # noqa: N815 # Argo CD's name


class _Health(ManifestPart):
    status: str | None = None
    message: str | None = None
    lastTransitionTime: str | None = None  # noqa: N815 # Argo CD's name


class _Operation(ManifestPart):
    phase: str | None = None
    message: str | None = None
    finishedAt: str | None = None  # noqa: N815 # Argo CD's name


class _Summary(ManifestPart):
    images: list[str] | None = None


class _Condition(ManifestPart):
    type: str = ""
    message: str | None = None


class _Status(ManifestPart):
    sync: _Sync = _Sync()
    health: _Health = _Health()
    reconciledAt: str | None = None  # noqa: N815 # Argo CD's name
    operationState: _Operation | None = None  # noqa: N815 # Argo CD's name
    summary: _Summary = _Summary()
    conditions: list[_Condition] | None = None


class _Application(ManifestPart):
    metadata: ObjectMetadata
    spec: _Spec = _Spec()
    status: _Status = _Status()


def application_of(item: Object) -> Seen:
    """One Application, as reported. Raises ValidationError for an object of another form."""
    app = _Application.model_validate(item)
    sources, status = app.spec.all_sources, app.status
    operation = status.operationState
    health, sync = _health(status.health.status), _sync(status.sync.status)
    against = list(_reasons_against(app))
    if against:
        health = "Unknown"
    errors = [c.message for c in status.conditions or () if c.type.endswith("Error")]
    failed = operation if operation and operation.phase in ("Failed", "Error") else None
    return Seen(
        label=f"{KIND} {app.metadata.full_name}",
        claims=claims_of(
            app.metadata.name,
            app.metadata.labels or {},
            app.metadata.annotations or {},
            sources=[source.place for source in sources],
            namespace=app.spec.destination.namespace or "",
        ),
        observation=Observation(
            environment="",
            draft="",
            health=health,
            sync=sync,
            revision=commit(_revision(status.sync)),
            message=told(
                *against, status.health.message, *errors[:3], failed.message if failed else None
            ),
            observed_at=newest(
                moment(status.reconciledAt),
                moment(status.health.lastTransitionTime),
                moment(operation.finishedAt) if operation else None,
            ),
            synced_at=moment(operation.finishedAt) if operation else None,
            application=told(f"{KIND} {app.metadata.full_name}"),
        ),
        images=tuple(status.summary.images or ()),
    )


def _reasons_against(app: _Application) -> Iterator[str]:
    """Why its health does not describe the overlay as it is in Git."""
    sources = app.spec.all_sources
    changed = sorted({name for source in sources for name in source.overrides})
    if changed:
        yield f"its source changes the overlay by `{'`, `'.join(changed)}`"
    compared = app.status.sync.comparedTo
    then = [s.place for s in compared.all_sources] if compared else []
    if then and then != [s.place for s in sources]:
        yield "its source was changed since it was compared"
    operation = app.status.operationState
    if operation is None or moment(operation.finishedAt) is None:
        yield "no sync operation of it has ended"


def _revision(sync: _Sync) -> str:
    revisions = sync.revisions or [sync.revision or ""]
    return revisions[0] if len(revisions) == 1 else ""


def _health(status: str | None) -> Health:
    return next((known for known in get_args(Health) if known == status), "Unknown")


def _sync(status: str | None) -> SyncState:
    return next((known for known in get_args(SyncState) if known == status), "Unknown")

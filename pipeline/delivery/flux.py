"""Flux's `Kustomization` and `HelmRelease` objects as observations. Pure.

Field names are those of the CRDs `kustomizations.kustomize.toolkit.fluxcd.io` (v1) and
`helmreleases.helm.toolkit.fluxcd.io` (v2). `Ready` counts only for the observed generation. A
Kustomization's `Ready` describes health only if it waits for its objects; a HelmRelease's describes
the moment of its newest install or upgrade, so only pods show its health now.
"""

from __future__ import annotations

import re

from pipeline.delivery.belonging import claims_of
from pipeline.delivery.objects import Object
from pipeline.delivery.parts import (
    Condition,
    ManifestPart,
    ObjectMetadata,
    Seen,
    commit,
    condition,
    moment,
    newest,
    told,
)
from pipeline.models.base import Moment, TreeId
from pipeline.models.evidence import Health, Observation, SyncState

KUSTOMIZATION = ("kustomize.toolkit.fluxcd.io/v1", "Kustomization")
HELM_RELEASE = ("helm.toolkit.fluxcd.io/v2", "HelmRelease")
# Flux's form of Git revisions: `main@sha1:` and a commit.
_REVISION = re.compile(r"(?:[^@]*@)?sha1:([0-9a-f]{40})\Z")
# The prefix of a chart's version, followed by its tree (`pipeline.delivery.forms`).
CHART_VERSION_PREFIX = "1.0.0-t"
_CHART_VERSION = re.compile(
    rf"{re.escape(CHART_VERSION_PREFIX)}([0-9a-f]{{40}})(?:\+[0-9A-Za-z.-]+)?\Z"
)


class _SourceRef(ManifestPart):
    kind: str = ""
    name: str = ""


class _KustomizationSpec(ManifestPart):
    path: str | None = None
    sourceRef: _SourceRef = _SourceRef()  # noqa: N815 # Flux's name
    targetNamespace: str | None = None  # noqa: N815 # Flux's name
    suspend: bool = False
    wait: bool = False
    healthChecks: list[object] | None = None  # noqa: N815 # Flux's name
    images: list[object] | None = None
    patches: list[object] | None = None
    components: list[object] | None = None
    namePrefix: str | None = None  # noqa: N815 # Flux's name
    nameSuffix: str | None = None  # noqa: N815 # Flux's name
    postBuild: dict[str, object] | None = None  # noqa: N815 # Flux's name

    @property
    def overrides(self) -> list[str]:
        """The fields with which it changes the folder that it applies."""
        names = ("images", "patches", "components", "namePrefix", "nameSuffix", "postBuild")
        return [name for name in names if getattr(self, name)]


class _Reconciled(ManifestPart):
    lastReconciled: str | None = None  # noqa: N815 # Flux's name


class _KustomizationStatus(ManifestPart):
    conditions: list[Condition] | None = None
    observedGeneration: int | None = None  # noqa: N815 # Flux's name
    lastAppliedRevision: str | None = None  # noqa: N815 # Flux's name
    lastAttemptedRevision: str | None = None  # noqa: N815 # Flux's name
    history: list[_Reconciled] | None = None


class _Kustomization(ManifestPart):
    metadata: ObjectMetadata
    spec: _KustomizationSpec = _KustomizationSpec()
    status: _KustomizationStatus = _KustomizationStatus()


class _ChartSpec(ManifestPart):
    chart: str = ""
    sourceRef: _SourceRef = _SourceRef()  # noqa: N815 # Flux's name


class _ChartTemplate(ManifestPart):
    spec: _ChartSpec = _ChartSpec()


class _HelmReleaseSpec(ManifestPart):
    chart: _ChartTemplate | None = None
    targetNamespace: str | None = None  # noqa: N815 # Flux's name
    suspend: bool = False
    values: dict[str, object] | None = None
    valuesFrom: list[object] | None = None  # noqa: N815 # Flux's name
    postRenderers: list[object] | None = None  # noqa: N815 # Flux's name

    @property
    def overrides(self) -> list[str]:
        """The fields with which it changes the chart that it installs."""
        return [n for n in ("values", "valuesFrom", "postRenderers") if getattr(self, n)]


class _Snapshot(ManifestPart):
    chartVersion: str | None = None  # noqa: N815 # Flux's name
    status: str | None = None
    lastDeployed: str | None = None  # noqa: N815 # Flux's name


class _HelmReleaseStatus(ManifestPart):
    conditions: list[Condition] | None = None
    observedGeneration: int | None = None  # noqa: N815 # Flux's name
    lastAttemptedRevision: str | None = None  # noqa: N815 # Flux's name
    history: list[_Snapshot] | None = None


class _HelmRelease(ManifestPart):
    metadata: ObjectMetadata
    spec: _HelmReleaseSpec = _HelmReleaseSpec()
    status: _HelmReleaseStatus = _HelmReleaseStatus()


def kustomization_of(item: Object, read_at: Moment) -> Seen:
    """One Kustomization, as reported. Raises ValidationError for an object of another form."""
    found = _Kustomization.model_validate(item)
    spec, status = found.spec, found.status
    ready = condition(status.conditions, "Ready")
    applied, attempted = status.lastAppliedRevision or "", status.lastAttemptedRevision or ""
    against = _reasons_against(found.metadata, status.observedGeneration, spec.overrides)
    if not (spec.wait or spec.healthChecks):
        against.append("it waits for no health: set `wait: true`")
    is_current = bool(applied) and applied == (attempted or applied)
    history = status.history or []
    reconciled = moment(history[0].lastReconciled) if history else read_at
    return Seen(
        label=f"{KUSTOMIZATION[1]} {found.metadata.full_name}",
        claims=claims_of(
            found.metadata.name,
            found.metadata.labels or {},
            found.metadata.annotations or {},
            sources=[(spec.sourceRef.name, spec.path)] if spec.path else [],
            namespace=spec.targetNamespace or "",
        ),
        observation=Observation(
            environment="",
            draft="",
            health="Unknown" if against else _health(ready, spec.suspend),
            sync=_sync(ready, is_current),
            revision=commit(match[1]) if (match := _REVISION.match(applied)) else None,
            message=told(*against, _message(ready)),
            observed_at=newest(reconciled, moment(ready.lastTransitionTime) if ready else None),
            application=told(f"{KUSTOMIZATION[1]} {found.metadata.full_name}"),
        ),
    )


def helm_release_of(item: Object, read_at: Moment) -> Seen:
    """One HelmRelease, as reported. Raises ValidationError for an object of another form."""
    found = _HelmRelease.model_validate(item)
    spec, status = found.spec, found.status
    ready, drifted = (condition(status.conditions, t) for t in ("Ready", "Drifted"))
    against = _reasons_against(found.metadata, status.observedGeneration, spec.overrides)
    snapshot = next(iter(status.history or ()), _Snapshot())
    version = snapshot.chartVersion or ""
    chart = _CHART_VERSION.match(version)
    is_current = (
        snapshot.status == "deployed"
        and version == (status.lastAttemptedRevision or version)
        and not (drifted and drifted.status == "True")
    )
    source = spec.chart.spec if spec.chart else None
    return Seen(
        label=f"{HELM_RELEASE[1]} {found.metadata.full_name}",
        claims=claims_of(
            found.metadata.name,
            found.metadata.labels or {},
            found.metadata.annotations or {},
            sources=[(source.sourceRef.name, source.chart.removesuffix("/chart"))]
            if source
            else [],
            namespace=spec.targetNamespace or "",
        ),
        observation=Observation(
            environment="",
            draft="",
            health="Unknown" if against else _health(ready, spec.suspend),
            sync=_sync(ready, is_current),
            chart=TreeId(chart[1]) if chart else None,
            message=told(*against, _message(ready)),
            observed_at=read_at,
            synced_at=moment(snapshot.lastDeployed),
            application=told(f"{HELM_RELEASE[1]} {found.metadata.full_name}"),
        ),
    )


def _reasons_against(
    metadata: ObjectMetadata, observed: int | None, overrides: list[str]
) -> list[str]:
    """Why its report does not describe the content in Git."""
    against = []
    if metadata.generation is None or observed != metadata.generation:
        against.append(f"generation {metadata.generation} was not observed yet")
    if overrides:
        against.append(f"it changes what lies in Git by `{'`, `'.join(overrides)}`")
    return against


def _health(ready: Condition | None, is_suspended: bool) -> Health:
    if is_suspended:
        return "Suspended"
    if ready is None:
        return "Unknown"
    if ready.status == "True":
        return "Healthy"
    if ready.status == "Unknown" or ready.reason == "DependencyNotReady":
        return "Progressing"
    # All other reasons concern content that was not applied, not what runs.
    return "Degraded" if ready.reason == "HealthCheckFailed" else "Unknown"


def _sync(ready: Condition | None, is_current: bool) -> SyncState:
    if ready is None:
        return "Unknown"
    return "Synced" if ready.status == "True" and is_current else "OutOfSync"


def _message(ready: Condition | None) -> str:
    return (ready.message or "") if ready and ready.status != "True" else ""

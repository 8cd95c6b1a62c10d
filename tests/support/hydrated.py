"""The sample drafts as they would reach a cluster: rendered, hydrated, built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import yaml

from pipeline.git.objects import MODE_FILE, tree_id_of_files
from pipeline.models.base import TreeId
from pipeline.models.facts import Release
from pipeline.models.requests import Environment, EnvironmentName
from pipeline.models.status import DraftStatus
from pipeline.plan.view import DraftView
from pipeline.releases.overlays import Overlay, base_tree_of, render_overlay
from pipeline.stages.provision import accepted_fact
from pipeline.stages.scaffold import template_values
from pipeline.state.facts import fold
from pipeline.templating import render_template
from pipeline.tools import kustomize
from pipeline.world.hydrate import Hydrator
from tests.support import fact_history as history
from tests.support.samples import DRAFT
from tests.support.views import sample_view

# Every row of docs/model.md §4.1 is among the sample drafts; this is where each runs.
ROWS = {
    "platform/product-catalogue": "ameide-{env}",
    "acme/shipment-tracker": "tenant-acme-{env}-cust",
    "contoso/inventory": "tenant-contoso-{env}-base",
    "contoso/supplier-rating": "tenant-contoso-{env}-cust",
    "fabrikam/inventory": "tenant-fabrikam-{env}-base",
    "fabrikam/batch-release": "tenant-fabrikam-{env}-cust",
    "contoso/order-to-cash": "tenant-contoso-{env}-cust",
    "contoso/order-helper": "tenant-contoso-{env}-cust",
    "fabrikam/order-desk": "tenant-fabrikam-{env}-cust",
    DRAFT: "tenant-acme-{env}-cust",
}
DIGEST = history.DIGEST
KUBERNETES = "1.34.0"
Files = dict[str, bytes]


@dataclass(frozen=True)
class Case:
    """A draft with the status it has once accepted, and its rendered source."""

    view: DraftView
    status: DraftStatus
    source: Files

    @property
    def image(self) -> str:
        """The image that is built of it."""
        return f"{self.view.image}@{DIGEST}"


@lru_cache(maxsize=16)
def case_of(draft: str) -> Case:
    """A sample draft, accepted and rendered."""
    view = sample_view(draft)
    entry = accepted_fact(view)
    body = history.Accepted.model_validate({"type": entry.type, **entry.known}, strict=False)
    status = fold(history.chain_of([("request", body)], draft))
    assert status is not None
    rendered = render_template(view.template, template_values(view))
    return Case(view, status, {path: file.content for path, file in rendered.items()})


def base_of(case: Case, hydrator: Hydrator | None = None) -> Mapping[str, bytes]:
    """The files of `base/` of a draft's source."""
    source = tree_id_of_files({path: (MODE_FILE, c) for path, c in case.source.items()})
    return (hydrator or Hydrator()).read_base(
        source,
        case.source,
        release=case.status.instance,
        image=case.image,
        kubernetes_version=KUBERNETES,
    )


def overlay_of(
    case: Case, base: Mapping[str, bytes], environment: EnvironmentName, **policy: object
) -> Overlay:
    """A draft's overlay in an environment, with some of its policy changed."""
    release = Release(
        source_commit=history.SOURCE_COMMIT,
        source_tree=TreeId(history.id_of("tree")),
        digest=DIGEST,
        base_tree=base_tree_of(base),
    )
    view = case.view
    asked: Environment = view.environments[environment].model_copy(update=policy)
    return render_overlay(case.status, view.tenant, view.platform, asked, release, base)


def built(overlay: Overlay) -> list[dict[str, Any]]:
    """The objects that a delivery tool would apply."""
    files = {f"{overlay.folder}/{path}": content for path, content in overlay.files.items()}
    manifests = kustomize.run_kustomize_build(files, overlay.folder)
    return [item for item in yaml.safe_load_all(manifests) if item is not None]

"""Drafts of the sample world as the stages see them when they plan."""

from __future__ import annotations

from dataclasses import replace

from pipeline.forges.port import RepoView
from pipeline.models.status import DraftStatus
from pipeline.plan.effects import EnsureRepo
from pipeline.plan.view import Caused, DraftView
from pipeline.requests.layout import draft_path
from tests.support import fact_history as history
from tests.support.samples import (
    DRAFT,
    sample_draft,
    sample_environment,
    sample_platform,
    sample_tenant,
    templates,
)
from tests.support.signing import trusted_signers
from worlds.control_repo import CLOCK_S

MAIN_HEAD = history.id_of("first commit")


def repo_view(name: str, **branches: str) -> RepoView:
    """A repository with a main branch and these others."""
    return RepoView(name, "main", {"main": MAIN_HEAD, **branches})


def sample_view(
    draft: str = DRAFT, status: DraftStatus | None = None, *, provisioned: bool = False
) -> DraftView:
    """The view of a sample draft, of which nothing has happened or what `status` says.

    `provisioned`: its repositories exist, and it is accepted if no status says more.
    """
    request = sample_draft(draft)
    if provisioned and status is None:
        status = history.provisioned_status(draft)
    view = DraftView(
        request=request,
        caused=Caused(history.cause_of(draft_path(draft)), 1_767_225_600),
        tenant=sample_tenant(request.tenant_id),
        platform=sample_platform(),
        environments={name: sample_environment(name) for name in ("dev", "staging", "prod")},
        blocked_digests=frozenset(),
        stops=(),
        signers=trusted_signers(),
        template=templates()[request.template_id.split("@")[0]],
        status=status,
        is_new_revision=status is None,
        now_s=CLOCK_S,
    )
    if not provisioned:
        return view
    return replace(view, target=repo_view(view.target_repo), gitops=repo_view(view.gitops_repo))


def repos_of(effects: object) -> list[EnsureRepo]:
    """The repositories that a step would create."""
    assert isinstance(effects, tuple)
    return [effect for effect in effects if isinstance(effect, EnsureRepo)]

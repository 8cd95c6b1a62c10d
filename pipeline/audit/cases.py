"""One fact to recompute: the things it names, read once, and the view for its stage.

Stages are pure functions of a `DraftView`. An audit builds that view from clones, as of the fact,
passes it to the stage that made the fact, and compares the result.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

from pipeline.audit.authority import authority_of
from pipeline.audit.objects import Objects
from pipeline.audit.reading import Audit, Chain
from pipeline.diagnostics import Finding, Location, Rule
from pipeline.errors import NotFound
from pipeline.forges.port import RepoView
from pipeline.git.commits import Commit, pipeline_signature
from pipeline.git.objects import TreeEntry, commit_object, graft
from pipeline.models.base import seconds_of
from pipeline.models.facts import Accepted, Fact, Promoted
from pipeline.models.release_groups import ReleaseGroup
from pipeline.models.requests import PrimitiveImplementationDraft, Request
from pipeline.models.status import DraftStatus
from pipeline.names import NameRefused, controllers_repo, gitops_repo
from pipeline.plan.effects import CommitFolder
from pipeline.plan.view import Caused, DraftView, Parents
from pipeline.requests.kinds import request_path
from pipeline.requests.layout import RequestPath, draft_path
from pipeline.requests.snapshot import Snapshot
from pipeline.templates import read_builtin_template
from pipeline.templating import Template

# Trailers judged separately: the key contains the pipeline's version, and an interrupted run named
# an older fact than the run that finished.
_OWN_TRAILERS = ("Key", "Fact")


@dataclass(frozen=True)
class FactCase:
    """One fact, the draft's status before it, and the audit it belongs to."""

    audit: Audit
    chain: Chain
    fact: Fact
    before: DraftStatus | None
    _caused: dict[int, Caused] = field(default_factory=dict, compare=False)

    def finding(self, found: Rule, message: str) -> Finding:
        """A finding at the fact."""
        return found.finding(message, self.at)

    @cached_property
    def at(self) -> Location:
        """The location of the fact."""
        return self.chain.location(self.fact)

    @property
    def tenant(self) -> str:
        """The tenant of the draft."""
        return self.fact.draft.tenant

    @cached_property
    def meaning(self) -> RequestPath | None:
        """The parsed path of the fact's request."""
        return request_path(self.fact.cause.request)

    @cached_property
    def is_caused(self) -> bool:
        """Whether the cause's commit brought the request with that content to main."""
        cause, main = self.fact.cause, self.audit.main
        at = main.position.get(cause.commit)
        if at is None or main.blob_at(cause.commit, cause.request) != cause.blob:
            return False
        return at == 0 or main.blob_at(main.line[at - 1], cause.request) != cause.blob

    @cached_property
    def request(self) -> Request | None:
        """The request that caused the fact; of a release group, what it asks for this draft. None
        if it is not on main, not a request, or a group without the draft."""
        cause = self.fact.cause
        found = self.audit.main.request(cause.request, cause.blob) if self.is_caused else None
        return found.promotion_of(self.fact.draft) if isinstance(found, ReleaseGroup) else found

    @cached_property
    def draft_request(self) -> PrimitiveImplementationDraft | None:
        """The draft's own request as of the fact's cause.

        What policy does by itself rests on the draft as it was accepted last.
        """
        body = self.fact.body
        if isinstance(body, Promoted) and body.automatic:
            earlier = reversed(self.chain.before(self.fact))
            accepted = next((f.cause for f in earlier if isinstance(f.body, Accepted)), None)
            told = self.audit.main.request(accepted.request, accepted.blob) if accepted else None
            return told if isinstance(told, PrimitiveImplementationDraft) else None
        if isinstance(self.request, PrimitiveImplementationDraft):
            return self.request
        path = draft_path(self.fact.draft)
        blob = self.audit.main.blob_at(self.fact.cause.commit, path) if self.is_caused else None
        found = self.audit.main.request(path, blob) if blob else None
        return found if isinstance(found, PrimitiveImplementationDraft) else None

    def caused(self, now: Snapshot) -> Caused:
        """The cause, with its commit's time (which the pipeline's commits carry) and with the
        authority over it by the policy `now`."""
        if id(now) not in self._caused:
            commit = self.audit.control.commit(self.fact.cause.commit)
            authority = authority_of(self.audit.main, self.fact, self.before, now)
            self._caused[id(now)] = Caused(self.fact.cause, commit.committer.time_s, authority)
        return self._caused[id(now)]

    @cached_property
    def decided_s(self) -> int:
        """When it was decided; for a fact without times, when its request reached main."""
        if self.fact.decided_at is not None:
            return seconds_of(self.fact.decided_at)
        return self.audit.control.commit(self.fact.cause.commit).committer.time_s

    def views(self) -> Iterator[DraftView]:
        """The possible inputs of the stage: one view for each policy since the cause."""
        for policy in self.audit.main.policies_since(self.fact.cause.commit, self.tenant):
            view = self._view(policy)
            if view is not None:
                yield view

    def view_by(self, commit: str) -> DraftView | None:
        """The view by the policy at a commit of main; None if that is not one since the cause."""
        main = self.audit.main
        at, caused_at = main.position.get(commit), main.position.get(self.fact.cause.commit)
        if at is None or caused_at is None or at < caused_at:
            return None
        view = self._view(main.policy_at(commit, self.tenant))
        return replace(view, policy=commit) if view else None

    def _view(self, policy: Snapshot) -> DraftView | None:
        """The view by one policy; None if that policy lacks the tenant."""
        tenant, request = policy.tenant(self.tenant), self.draft_request
        if tenant is None or policy.platform is None or request is None:
            return None
        view = DraftView(
            request=request,
            caused=self.caused(policy),
            tenant=tenant,
            platform=policy.platform,
            environments=policy.environments,
            blocked_digests=policy.blocked_digests,
            stops=policy.stops,
            signers=policy.signers,
            template=self.template(request.template_id),
            status=self.before,
            is_new_revision=isinstance(self.fact.body, Accepted),
            now_s=self.decided_s,
        )
        return view if _has_names(view) else None

    def template(self, release: str) -> Template:
        """The template of this release; if unavailable, an empty one with the recorded digest."""
        name, _, version = release.partition("@")
        try:
            return read_builtin_template(name, version)
        except NotFound:
            return Template(name, version, (), {}, (), self.template_digest)

    @property
    def template_digest(self) -> str:
        """The template's digest according to the facts."""
        if isinstance(self.fact.body, Accepted):
            return self.fact.body.template_digest
        return self.before.template_digest if self.before else ""

    @cached_property
    def code(self) -> Objects | None:
        """The clone with the draft's code, by its derived name."""
        return self._clone(gitops=False)

    @cached_property
    def gitops(self) -> Objects | None:
        """The clone with its overlays."""
        return self._clone(gitops=True)

    def _clone(self, *, gitops: bool) -> Objects | None:
        request = self.draft_request
        if request is None:
            return None
        name_of = gitops_repo if gitops else controllers_repo
        platform = self.audit.platform.platform
        return self.audit.repository(name_of(platform, request.tenant_id, request.code_origin))


def _has_names(view: DraftView) -> bool:
    """Whether every name fits; policy by which one does not stops all that it decides over."""
    try:
        return bool(view.instance) and view.namespaces.keys() == view.environments.keys()
    except NameRefused:
        return False


def folder_at(objects: Objects, commit: str, folder: str) -> str | None:
    """The tree of a folder at a commit; None if there is no such commit or folder."""
    if objects.find_commit(commit) is None:
        return None
    found = objects.at(commit, folder)
    return found.id if found is not None and found.is_tree else None


def parents_at(objects: Objects, commit: str, folder: str) -> Parents:
    """The entries of each tree above a folder at a commit, root first, as far as they exist."""
    above: list[tuple[TreeEntry, ...]] = []
    tree: str | None = objects.commit(commit).tree
    for part in folder.split("/"):
        if tree is None:
            break
        entries = objects.tree(tree)
        above.append(tuple(entries.values()))
        entry = entries.get(part)
        tree = entry.id if entry is not None and entry.is_tree else None
    return tuple(above)


def at_base(view: DraftView, repo: str, base: str, parents: Parents) -> DraftView:
    """The view with the code repository at a commit."""
    return replace(view, target=RepoView(repo, "main", {"main": base}), base_parents=parents)


def commit_problem(
    case: FactCase, found: Commit, planned: CommitFolder, parents: Parents
) -> str | None:
    """How a commit differs from the one the pipeline planned; None if it is equal bit for bit.

    Its key and fact may come from another version or an earlier run.
    """
    trailers = dict(found.trailers)
    if trailers.get("Fact") not in case.chain.hashes[: case.fact.sequence - 1]:
        return f"it rests on {trailers.get('Fact', 'no fact')}, which the chain before it lacks"
    message = planned.message
    for name in _OWN_TRAILERS:
        message = _with_trailer(message, name, trailers.get(name, ""))
    folder = planned.folder
    root = graft(parents, folder, planned.folder_tree)[-1].id
    if found.tree != root:
        wanted = f"as tree {planned.folder_tree[:12]}" if planned.folder_tree else "taken out"
        return f"it holds other files than {folder} {wanted}"
    signature = pipeline_signature(planned.time_s)
    if (found.author, found.committer) != (signature, signature):
        return f"it is signed by {found.author.email}, or at another time than its request"
    made = commit_object(root, [planned.base], message, signature, signature)
    if made.id != found.id:
        return "its message or its parents are not those that its request gives"
    return None


def _with_trailer(message: str, name: str, value: str) -> str:
    lines = message.split("\n")
    return "\n".join(f"{name}: {value}" if line.startswith(f"{name}: ") else line for line in lines)

"""Patches applied to their drafts' current folders, and the credentials in the result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.diagnostics import Finding, Location
from pipeline.errors import CouldNotCheck, OverBound
from pipeline.forges.port import RepoView
from pipeline.git.repository import read_parents
from pipeline.models.requests import DraftPatch, ReplaceText
from pipeline.models.status import DraftStatus
from pipeline.plan.bounds import PATCH_OVER_BOUND
from pipeline.plan.patches import PatchGround, PatchResult, patched_folder
from pipeline.plan.view import Caused, DraftView, Existing, PatchInput
from pipeline.requests.snapshot import LoadedRequest
from pipeline.stages.patch import followup_branch, is_followup, patch_key
from pipeline.tools.gitleaks import SecretHit
from pipeline.world.causes import Causes
from pipeline.world.repositories import OpenRepositories

ScanSecrets = Callable[[Mapping[str, bytes]], Sequence[SecretHit]]


@dataclass(frozen=True)
class Patches:
    """Applies patches to their drafts' folders as the repositories have them."""

    repositories: OpenRepositories
    causes: Causes
    scan_secrets: ScanSecrets
    findings: Mapping[str, tuple[Finding, ...]]  # by request path

    def of_request(self, view: DraftView, loaded: LoadedRequest) -> PatchInput:
        """A due patch on main, with its result and the credentials found in it."""
        patch = loaded.model
        assert isinstance(patch, DraftPatch) and view.status and view.target
        caused = self.causes.of(loaded.path, loaded.blob)
        existing, followup = self._begun(view, view.target, view.status, caused)
        git = self.repositories.git(view.target_repo)
        head = (view.target.head if followup else None) or view.status.head
        if existing:
            # Judge it on the commit it was begun on, whatever people merged since.
            head = git.read_commit(existing.commit).parents[0]
        meets = self._ground(view, patch, head, self.findings.get(loaded.path, ()))
        result, secrets = self._searched(patch, meets, loaded.path)
        return PatchInput(
            number=loaded.meaning.name,
            patch=patch,
            caused=caused,
            head=head,
            result=result,
            parents=read_parents(git, head, view.folder),
            secrets=secrets,
            is_followup=followup,
            existing=existing,
        )

    def proposed(self, view: DraftView, patch: DraftPatch) -> PatchResult:
        """The result of an unmerged patch on its draft as it is now, not searched for credentials.

        Raises CouldNotCheck if the code repository does not exist.
        """
        if view.target is None or view.status is None:
            raise CouldNotCheck(f"there is no repository `{view.target_repo}`")
        head = (view.target.head if is_followup(view) else None) or view.status.head
        return patched_folder(patch, self._ground(view, patch, head))

    def _searched(
        self, patch: DraftPatch, meets: PatchGround, path: str
    ) -> tuple[PatchResult, tuple[str, ...]]:
        """A patch's result, and the credentials in it, one line each.

        A result that can't be searched within the bounds is a reason against the patch.
        """
        result = patched_folder(patch, meets)
        written = {
            p: result.blobs[id] for p, (_, id) in result.entries.items() if id in result.blobs
        }
        try:
            hits = self.scan_secrets(written) if written else ()
        except OverBound as error:
            refused = PATCH_OVER_BOUND.finding(error.message, Location(path))
            meets = replace(meets, findings=(*meets.findings, refused))
            return patched_folder(patch, meets), ()
        return result, tuple(f"`{h.path}` line {h.line}: {h.rule}" for h in hits)

    def _ground(
        self, view: DraftView, patch: DraftPatch, head: str, findings: tuple[Finding, ...] = ()
    ) -> PatchGround:
        git = self.repositories.git(view.target_repo)
        listing = git.list_files(head, view.folder)
        base = git.has_commit(patch.base_commit)
        base_listing = git.list_files(patch.base_commit, view.folder) if base else None
        replaced = [
            c.path for c in patch.changes if isinstance(c, ReplaceText) and c.path in listing
        ]
        found = git.read_objects([listing[p][1] for p in replaced])
        contents = {p: o.content for p, o in zip(replaced, found, strict=True) if o}
        return PatchGround(listing, base_listing, contents, findings)

    def _begun(
        self, view: DraftView, target: RepoView, status: DraftStatus, caused: Caused
    ) -> tuple[Existing | None, bool]:
        """The branch of an interrupted run for a patch, and whether the patch needs its own branch.

        A patch already on the draft's own branch stays there, even if that was merged since.
        """
        key, own = patch_key(caused), status.branch_name
        if target.branches.get(own) != status.head:
            found = self.repositories.begun_branch(target, own, view.folder, key)
            if found:
                return found, False
        if not is_followup(view):
            return None, False
        branch = followup_branch(view, caused)
        return self.repositories.begun_branch(target, branch, view.folder, key), True

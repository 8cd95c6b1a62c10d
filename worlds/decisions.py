"""A control repo whose facts record many decisions: `worlds.decisions FOLDER TENANTS DRAFTS`.

Each draft ran three releases in three environments and was refused once: ten decisions. Every
request came with its own approved pull request. There is no code and no overlay, which a change of
policy is compared without. Two branches change policy: `prod` what one environment asks for, `all`
what concerns every decision.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pipeline.models.base import CommitId, ImageDigest, TreeId, digest_of
from pipeline.models.evidence import BuildRecord, CheckOutcome, CheckReport, CheckResult
from pipeline.models.facts import (
    Built,
    ChecksRecorded,
    FactBody,
    PatchApplied,
    Promoted,
    PromotionRefused,
    PullRequestLink,
    Reason,
    Release,
)
from pipeline.models.requests import EnvironmentName, PrimitiveImplementationDraft
from pipeline.names import overlay_folder
from pipeline.plan.view import Caused
from pipeline.requests.kinds import parse_request
from pipeline.requests.layout import promotion_path
from worlds import requests
from worlds.control import first_bodies, id_of
from worlds.history import Draft, History

RELEASES = 3
EACH = 3 * RELEASES + 1  # decisions of a draft
APPROVERS: dict[EnvironmentName, tuple[int, ...]] = {
    "dev": (1102,),
    "staging": (1501,),
    "prod": (1501, 1601),
}
_PASSED = tuple(
    CheckResult(name=name, outcome=CheckOutcome.PASSED, tool="checker 1.0", summary="passed")
    for name in ("lint", "tests", "secrets")
)


def _promotion(draft: str, environment: str, release: Release, tree: str) -> bytes:
    return f"""apiVersion: pipeline.ameide.io/v1
kind: Promotion
draft: {draft}
environment: {environment}
release:
  source_commit: {release.source_commit}
  digest: {release.digest}
overlay_tree: {tree}
reason: Peak season
""".encode()


class Decisions(History):
    """The world, with methods that record whole releases."""

    def begin_draft(self, tenant: str, primitive: str) -> Draft:
        """A draft up to its scaffold."""
        path, content = requests.draft_file(tenant, primitive)
        caused = self.ask_for(path, content)
        read, _ = parse_request(path, content)
        assert read is not None and isinstance(read.model, PrimitiveImplementationDraft)
        draft = Draft(f"{tenant}/{primitive}", read.model, caused)
        for body in first_bodies(self.platform, tenant, primitive):
            self.record(draft, caused, body)
        return draft

    def release(self, draft: Draft, number: int) -> None:
        """A patch, its checks and its image, and their way to production."""
        status = draft.status
        assert status is not None and status.pull_request is not None
        word = f"{draft.id} {number}"
        commit, tree = CommitId(id_of(word)), TreeId(id_of(f"tree {word}"))
        patched = PatchApplied(
            patch=f"{number:04d}",
            branch=status.branch_name,
            commit=commit,
            tree=tree,
            pull_request=status.pull_request,
        )
        build = BuildRecord(
            source_commit=commit,
            source_tree=tree,
            digest=ImageDigest(digest_of(word.encode())),
            builder="source-layout",
            image=status.image,
        )
        report = CheckReport(commit=commit, tree=tree, results=_PASSED)
        bodies: tuple[FactBody, ...] = (
            patched,
            ChecksRecorded(report=report),
            Built(build=build),
        )
        for body in bodies:
            self.record(draft, draft.caused, body)
        release = Release(
            source_commit=commit,
            source_tree=tree,
            digest=build.digest,
            base_tree=TreeId(id_of(f"base {word}")),
        )
        for environment in APPROVERS:
            self.promote(draft, environment, release)

    def promote(self, draft: Draft, environment: EnvironmentName, release: Release) -> None:
        """One promotion, asked for and approved."""
        status, approvers = draft.status, APPROVERS[environment]
        assert status is not None
        tree = id_of(f"overlay {environment} {release.digest}")
        caused = self._asked(draft, environment, release, tree)
        link = PullRequestLink(repo=status.gitops_repo, number=1, url="local:gitops#1")
        body = Promoted(
            environment=environment,
            namespace=status.target_namespaces[environment],
            release=release,
            overlay_tree=TreeId(tree),
            overlay_folder=overlay_folder(environment, status.instance),
            gitops_repo=status.gitops_repo,
            gitops_commit=CommitId(id_of(f"merge {tree}")),
            merged_at=caused.cause.merged_at,
            pull_request=link,
            approved_by=approvers,
            checks=("lint", "secrets", "tests"),
        )
        self.record(draft, caused, body)

    def refuse(self, draft: Draft) -> None:
        """One request for an image that was not built, refused."""
        assert draft.status is not None
        run = draft.status.promotions[0].release
        other = run.model_copy(update={"digest": ImageDigest(digest_of(b"other"))})
        caused = self._asked(draft, "staging", other, id_of(f"overlay {draft.id}"))
        reason = Reason(
            code="digest-not-built",
            message=f"the source was built as {run.digest[:19]}…, "
            f"the request asks for {other.digest[:19]}…",
        )
        order = Reason(code="environment-order", message="dev never ran it")
        self.record(draft, caused, PromotionRefused(environment="staging", reasons=(order, reason)))

    def _asked(
        self, draft: Draft, environment: EnvironmentName, release: Release, tree: str
    ) -> Caused:
        content = _promotion(draft.id, environment, release, tree)
        path = promotion_path(draft.id, environment)
        return self.ask_for(path, content, APPROVERS[environment])

    def change(self, branch: str, path: str, content: bytes) -> None:
        """A branch from main on which one file differs."""
        main = self.control.resolve("refs/heads/main")
        assert main is not None
        files = {p: c for p, (_, c) in self.control.read_files(main).items()}
        self.write(f"refs/heads/{branch}", {**files, path: content}, f"Change {path}\n")


def make(root: Path, tenants: int, drafts: int) -> Path:
    """The world with this many tenants, each with this many drafts."""
    world = Decisions(root, tenants)
    for tenant in map(requests.tenant_name, range(tenants)):
        made = [world.begin_draft(tenant, requests.draft_name(n)) for n in range(drafts)]
        for draft in made:
            for number in range(1, RELEASES + 1):
                world.release(draft, number)
            world.refuse(draft)
        world.publish(tenant, made)
    world.main.finish()
    platform, prod = "environments/platform.yaml", "environments/prod/environment.yaml"
    asked = world.files[prod].replace(b"count: 2", b"count: 3")
    world.change("prod", prod, asked)
    more = b"accounts:\n  - {id: 9001, login: newcomer, kind: person, teams: [newcomers]}\n"
    world.change("all", platform, world.files[platform].replace(b"accounts:\n", more, 1))
    world.pack()
    world.check_out()
    return root


if __name__ == "__main__":
    folder, *numbers = sys.argv[1:]
    print(make(Path(folder), *map(int, numbers)))

"""A long history for an audit to prove: `python -m worlds.history make|more FOLDER ...`.

Every request came with its own pull request, every commit is the one that the pipeline's own stages
plan, and every fact follows from them. Only the stages are called, and their plans are written in
large packs, since running the pipeline 24,000 times would take hours.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline import names
from pipeline.forges.port import RepoView
from pipeline.git.commits import pipeline_signature
from pipeline.git.objects import (
    MODE_FILE,
    MODE_TREE,
    GitObject,
    RefUpdate,
    Signature,
    TreeEntry,
    commit_object,
    git_object,
    objects_of_files,
    tree_object,
)
from pipeline.git.repository import GitRepository
from pipeline.models.base import BlobId, CommitId, TreeId, moment_of
from pipeline.models.evidence import CheckOutcome, CheckReport, CheckResult
from pipeline.models.facts import (
    Accepted,
    Brought,
    Cause,
    ChecksRecorded,
    FactBody,
    GivenReview,
    PatchApplied,
    Provisioned,
    PullRequestLink,
    Scaffolded,
)
from pipeline.models.requests import DraftPatch, PrimitiveImplementationDraft
from pipeline.models.status import DraftStatus
from pipeline.plan.effects import CommitFolder, FactEntry
from pipeline.plan.patches import PatchGround, patched_folder
from pipeline.plan.view import Caused, DraftView, PatchInput
from pipeline.requests.kinds import parse_request
from pipeline.requests.snapshot import Snapshot, snapshot_of
from pipeline.stages.patch import plan_patch
from pipeline.stages.provision import accepted_fact, plan_provision, plan_repository
from pipeline.stages.scaffold import plan_scaffold
from pipeline.state.facts import (
    fact_bytes,
    fact_path,
    facts_folder,
    fold_one,
    fold_one_unbounded,
    next_fact,
    status_bytes,
    status_path,
)
from pipeline.state.runs import without_runs
from pipeline.templates import read_builtin_template
from worlds import requests
from worlds.control import World, id_of

_ASKER, _APPROVER = 1101, 1102
_PACK_OBJECTS = 20_000


class Folder:
    """A folder that is written to again and again: only changed trees are hashed again."""

    def __init__(self) -> None:
        self.files: dict[str, TreeEntry] = {}
        self.folders: dict[str, Folder] = {}
        self.made: GitObject | None = None

    def put(self, path: str, blob: str) -> None:
        """Put a file at a path."""
        self.made = None
        first, _, rest = path.partition("/")
        if rest:
            self.folders.setdefault(first, Folder()).put(rest, blob)
        else:
            self.files[first] = TreeEntry(MODE_FILE, first, blob)

    def objects(self) -> Iterator[GitObject]:
        """The trees that changed since the last call, this one last."""
        if self.made is not None:
            return
        entries = list(self.files.values())
        for name, folder in self.folders.items():
            yield from folder.objects()
            assert folder.made is not None  # just made
            entries.append(TreeEntry(MODE_TREE, name, folder.made.id))
        self.made = tree_object(entries)
        yield self.made

    @property
    def id(self) -> str:
        """The tree's id; call `objects` first."""
        assert self.made is not None
        return self.made.id


@dataclass
class Store:
    """One repository: objects still to be written, and the future heads of its branches."""

    git: GitRepository
    waiting: list[GitObject] = field(default_factory=list)
    heads: dict[str, str] = field(default_factory=dict)

    def add(self, *objects: GitObject) -> None:
        """Queue these objects for writing."""
        self.waiting += objects
        if len(self.waiting) >= _PACK_OBJECTS:
            self.flush()

    def flush(self) -> None:
        """Write the queued objects."""
        self.git.write_objects(self.waiting)
        self.waiting.clear()

    def finish(self) -> None:
        """Write all queued objects, then move the branches."""
        self.flush()
        refs = {f"refs/heads/{branch}": commit for branch, commit in self.heads.items()}
        now = self.git.read_refs()
        self.git.update_refs([RefUpdate(r, now.get(r), c) for r, c in refs.items()])


@dataclass
class Draft:
    """One draft in progress."""

    id: str
    request: PrimitiveImplementationDraft
    caused: Caused
    status: DraftStatus | None = None
    folder: dict[str, tuple[int, str]] = field(default_factory=dict)
    head: str = ""
    code: Folder = field(default_factory=Folder)
    patches: int = 0
    listing: DraftStatus | None = None  # the unbounded status that older tools wrote


class History(World):
    """The world, with methods that write history into it without running the pipeline."""

    def __init__(self, root: Path, tenants: int, *, is_older: bool = False) -> None:
        """`is_older`: facts and statuses are laid out as by older tools, without bounds."""
        self.is_older = is_older
        super().__init__(root, requests.policy_files() | _tenant_files(tenants))
        self.main = Store(self.control)
        head = self.control.resolve("refs/heads/main")
        assert head is not None  # the setting made it
        self.main.heads["main"] = head
        self.tree = Folder()
        for path, (_, blob) in self.control.list_files(head).items():
            self.tree.put(path, blob)
        list(self.tree.objects())
        self.state: dict[str, Folder] = {}
        self.pulls = 0
        self.policies: dict[str, Snapshot] = {}

    # -- what people do ----------------------------------------------------------------------

    def ask_for(self, path: str, content: bytes, approvers: Sequence[int] = (_APPROVER,)) -> Caused:
        """The cause for a request, brought by its own pull request, which these approved."""
        self.pulls += 1
        base = self.main.heads["main"]
        time_s = self.signature.time_s + self.pulls
        asker = Signature("asker", f"{_ASKER}@users.noreply.pipeline.invalid", time_s)
        blob = git_object("blob", content)
        self.tree.put(path, blob.id)
        trees = list(self.tree.objects())
        head = commit_object(self.tree.id, [base], f"Ask for {path}\n", asker, asker)
        merge = commit_object(self.tree.id, [base, head.id], f"Merge {path}\n", asker, asker)
        self.main.add(blob, *trees, head, merge)
        self.main.heads["main"] = merge.id
        now = None if self.is_older else moment_of(time_s)
        reviews = tuple(
            GivenReview(account=user, commit=head.id, verdict="approved", at=now)
            for user in approvers
        )
        brought = Brought(
            pull=self.pulls,
            base=CommitId(base),
            head=CommitId(head.id),
            author=_ASKER,
            pushers=(_ASKER,),
            is_pusher_known=True,
            reviews=reviews,
        )
        cause = Cause(
            request=path,
            commit=CommitId(merge.id),
            blob=BlobId(blob.id),
            run="run-1",
            actor=_ASKER,
            merged_at=now,
            brought=brought,
        )
        return Caused(cause, time_s)

    def policy(self, tenant: str) -> Snapshot:
        """Policy and one tenant's file, which never change here."""
        if tenant not in self.policies:
            path, content = requests.tenant_file(tenant)
            files = {p: c for p, c in self.control_files().items() if p.startswith("environments/")}
            read = [parse_request(p, c)[0] for p, c in {**files, path: content}.items()]
            self.policies[tenant] = snapshot_of("", {}, [r for r in read if r is not None])
        return self.policies[tenant]

    def control_files(self) -> dict[str, bytes]:
        """The files of main as the setting made them."""
        head = self.control.resolve("refs/heads/main")
        assert head is not None
        return {
            p: c for p, (_, c) in self.control.read_files(head, "").items() if "/drafts/" not in p
        }

    def view(self, draft: Draft) -> DraftView:
        """The view from which the stages plan a draft."""
        policy = self.policy(draft.id.partition("/")[0])
        tenant = policy.tenant(draft.id.partition("/")[0])
        assert tenant is not None and policy.platform is not None
        name, _, version = draft.request.template_id.partition("@")
        return DraftView(
            request=draft.request,
            caused=draft.caused,
            tenant=tenant,
            platform=policy.platform,
            environments=policy.environments,
            blocked_digests=policy.blocked_digests,
            stops=policy.stops,
            signers=policy.signers,
            template=read_builtin_template(name, version),
            status=draft.status,
            is_new_revision=draft.status is None,
            now_s=draft.caused.time_s,
        )

    # -- what the pipeline does ------------------------------------------------------------------

    def record(self, draft: Draft, caused: Caused, body: FactBody) -> None:
        """Add one more fact of a draft to its tenant's state folder."""
        tenant, _, primitive = draft.id.partition("/")
        decided_at = caused.cause.merged_at
        fact = next_fact(draft.id, draft.status, caused.cause, body, decided_at=decided_at)
        draft.status = fold_one(draft.status, fact)
        draft.listing = without_runs(fold_one_unbounded(draft.listing, fact))
        blob = git_object("blob", fact_bytes(fact))
        self.main.add(blob)
        folder = self.state.setdefault(tenant, Folder())
        path = fact_path(primitive, fact.sequence, body.type)
        if self.is_older:
            path = f"{facts_folder(primitive)}/{path.rpartition('/')[2]}"
        folder.put(path, blob.id)

    def publish(self, tenant: str, drafts: list[Draft]) -> None:
        """Make one commit of the tenant's state branch with the new facts of these drafts."""
        folder = self.state[tenant]
        trailers = []
        for draft in drafts:
            assert draft.status is not None
            status = draft.listing if self.is_older and draft.listing else draft.status
            blob = git_object("blob", status_bytes(status))
            self.main.add(blob)
            folder.put(status_path(draft.id.partition("/")[2]), blob.id)
            trailers.append(f"Fact: {draft.id} {draft.status.newest_fact}\n")
        branch = names.state_branch(tenant)
        parents = [self.main.heads[branch]] if branch in self.main.heads else []
        trees = list(folder.objects())
        signature = pipeline_signature(self.signature.time_s + self.pulls)
        key = id_of(f"{branch} {len(self.main.waiting)} {self.pulls}")
        message = f"Record facts of {tenant}\n\nKey: {key}\n{''.join(sorted(trailers))}"
        commit = commit_object(folder.id, parents, message, signature, signature)
        self.main.add(*trees, commit)
        self.main.heads[branch] = commit.id

    def begin(self, tenant: str, primitives: list[str]) -> tuple[Store, list[Draft]]:
        """The tenant's repositories, and its drafts up to their scaffolds."""
        drafts = []
        for primitive in primitives:
            path, content = requests.draft_file(tenant, primitive)
            caused = self.ask_for(path, content)
            read, _ = parse_request(path, content)
            assert read is not None and isinstance(read.model, PrimitiveImplementationDraft)
            drafts.append(Draft(f"{tenant}/{primitive}", read.model, caused))
        view = self.view(drafts[0])
        code, first, trees = self._provision(view, view.target_repo, gitops=False)
        self._provision(view, view.gitops_repo, gitops=True)[0].finish()
        for draft in drafts:
            self._scaffold(draft, code, first, trees)
        self.publish(tenant, drafts)
        return code, drafts

    def _provision(
        self, view: DraftView, repo: str, *, gitops: bool
    ) -> tuple[Store, str, tuple[GitObject, ...]]:
        planned = plan_repository(view, repo, gitops=gitops)
        path = self.forge.path(repo)
        store = Store(GitRepository.init_bare(path))
        objects = objects_of_files({p: (MODE_FILE, c.content) for p, c in planned.files.items()})
        signature = pipeline_signature(planned.time_s)
        commit = commit_object(objects[-1].id, [], planned.message, signature, signature)
        store.add(*objects, commit)
        store.heads["main"] = commit.id
        return store, commit.id, objects

    def _scaffold(
        self, draft: Draft, code: Store, first: str, objects: tuple[GitObject, ...]
    ) -> None:
        view = self.view(draft)
        self.record(draft, draft.caused, _body(Accepted, accepted_fact(view)))
        step = plan_provision(replace(self.view(draft), is_new_revision=False))
        assert step is not None
        self.record(draft, draft.caused, _body(Provisioned, step.facts[0]))
        root = _entries(objects[-1])
        view = replace(
            self.view(draft),
            target=RepoView(view.target_repo, "main", {"main": first}),
            base_parents=(root,),
        )
        step = plan_scaffold(view)
        assert step is not None
        for entry in root:
            draft.code.files[entry.name] = entry
        commit = self._write(draft, code, step.effects[0])
        link = PullRequestLink(repo=view.target_repo, number=1, url=f"local:{view.target_repo}#1")
        known = step.facts[0].known
        body = Scaffolded(
            branch=str(known["branch"]),
            commit=CommitId(commit),
            tree=TreeId(str(known["tree"])),
            pull_request=link,
        )
        self.record(draft, draft.caused, body)

    def _write(self, draft: Draft, code: Store, effect: object) -> str:
        assert isinstance(effect, CommitFolder)
        for path, (mode, blob) in effect.entries.items():
            if draft.folder.get(path) != (mode, blob):
                draft.code.put(f"{effect.folder}/{path}", blob)
        draft.folder = dict(effect.entries)
        trees = list(draft.code.objects())
        signature = pipeline_signature(effect.time_s)
        commit = commit_object(draft.code.id, [effect.base], effect.message, signature, signature)
        assert commit.id == effect.commit
        blobs = [git_object("blob", content.content) for content in effect.blobs.values()]
        code.add(*blobs, *trees, commit)
        code.heads[effect.branch] = draft.head = commit.id
        return commit.id

    def patch(self, draft: Draft, code: Store) -> None:
        """Request and apply one more patch."""
        draft.patches += 1
        path, content = requests.patch_file(draft.id, draft.patches, draft.head)
        caused = self.ask_for(path, content)
        read, _ = parse_request(path, content)
        assert read is not None and isinstance(read.model, DraftPatch) and draft.status
        view = self.view(draft)
        above = draft.code.folders["primitives"]
        due = PatchInput(
            number=f"{draft.patches:04d}",
            patch=read.model,
            caused=caused,
            head=draft.head,
            result=patched_folder(read.model, PatchGround(draft.folder, draft.folder, {})),
            parents=(_all_entries(draft.code), _all_entries(above)),
        )
        target = RepoView(view.target_repo, "main", {"main": draft.head})
        step = plan_patch(replace(view, patch=due, target=target))
        assert step is not None and step.facts[0].type == "patch-applied", step
        commit = self._write(draft, code, step.effects[0])
        known = step.facts[0].known
        link = draft.status.pull_request
        assert link is not None
        body = PatchApplied(
            patch=due.number,
            branch=str(known["branch"]),
            commit=CommitId(commit),
            tree=TreeId(str(known["tree"])),
            pull_request=link,
        )
        self.record(draft, caused, body)

    def check(self, draft: Draft) -> None:
        """Record that the checks of the newest patch passed."""
        assert draft.status is not None
        results = tuple(
            CheckResult(name=n, outcome=CheckOutcome.PASSED, tool="checker 1.0", summary="passed")
            for n in ("lint", "tests", "secrets")
        )
        report = CheckReport(
            commit=CommitId(draft.head), tree=TreeId(draft.status.head_tree), results=results
        )
        self.record(draft, draft.caused, ChecksRecorded(report=report))


def _tenant_files(count: int) -> dict[str, bytes]:
    return dict(requests.tenant_file(requests.tenant_name(n)) for n in range(count))


def _body(kind: type[Accepted] | type[Provisioned], entry: FactEntry) -> FactBody:
    return kind.model_validate({"type": entry.type, **entry.known}, strict=False)


def _entries(tree: GitObject) -> tuple[TreeEntry, ...]:
    from pipeline.git.objects import parse_tree

    return parse_tree(tree.content)


def _all_entries(folder: Folder) -> tuple[TreeEntry, ...]:
    below = [TreeEntry(MODE_TREE, name, inner.id) for name, inner in folder.folders.items()]
    return (*folder.files.values(), *below)


def make(root: Path, tenants: int, drafts: int, facts: int) -> None:
    """Make this many tenants, with this many drafts each, of this many facts each."""
    world = History(root, tenants)
    last: list[tuple[Store, Draft]] = []
    for tenant in map(requests.tenant_name, range(tenants)):
        code, begun = world.begin(tenant, [requests.draft_name(n) for n in range(drafts)])
        for number in range(3, facts):
            for draft in begun:
                if number % 2:
                    world.patch(draft, code)
                else:
                    world.check(draft)
            world.publish(tenant, begun)
        code.finish()
        last.append((code, begun[-1]))
    world.main.finish()
    world.pack()
    world.check_out()
    (root / "more").mkdir()
    # One more patch for each of some drafts, held back until `more` brings it.
    for number, (code, draft) in enumerate(last):
        before = {"main": world.main.heads["main"]}
        world.patch(draft, code)
        tenant = draft.id.partition("/")[0]
        world.publish(tenant, [draft])
        code.flush()
        world.main.flush()
        moves = [
            (world.name, "main", world.main.heads["main"]),
            (world.name, names.state_branch(tenant), world.main.heads[names.state_branch(tenant)]),
            (
                names.controllers_repo(world.platform.platform, tenant, draft.request.code_origin),
                draft.status.branch_name if draft.status else "",
                draft.head,
            ),
        ]
        text = "".join(f"{repo} {branch} {commit}\n" for repo, branch, commit in moves)
        (root / "more" / f"{number:03d}").write_text(text, encoding="utf-8")
        assert before["main"] != world.main.heads["main"]
    print(root)


def more(root: Path) -> None:
    """Bring the next held-back fact, and fetch it into the checkout."""
    waiting = sorted((root / "more").iterdir())
    forge = root / "forge"
    for line in waiting[0].read_text(encoding="utf-8").splitlines():
        repo, branch, commit = line.split(" ")
        [path] = forge.glob(f"*/{repo}.git")
        git = GitRepository(path)
        ref = f"refs/heads/{branch}"
        git.update_refs([RefUpdate(ref, git.resolve(ref), commit)])
        git.close()
    waiting[0].unlink()
    fetch = ["git", "-C", str(root / "control"), "fetch", "-q", "origin"]
    subprocess.run(fetch, check=True)
    print(root)


def main(arguments: list[str]) -> int:
    """`make FOLDER TENANTS DRAFTS FACTS`, or `more FOLDER`."""
    what, folder, *numbers = arguments
    if what == "make":
        make(Path(folder), *map(int, numbers))
    else:
        more(Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The measured control repos and forges, made by `python -m worlds.control NAME FOLDER`.

Each is made in a separate process, which keeps the measuring one small. The pipeline itself records
the facts, except in long histories: those are written straight into the state branches and the
journal, as valid chains of facts.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pipeline import names
from pipeline.demo.setting import START_TIME_S, create_control, platform_of
from pipeline.forges.local.forge import LocalForge
from pipeline.forges.local.journal import JOURNAL_REF, head_files, pull_files
from pipeline.forges.port import PullRequest, PullState, ReviewVerdict
from pipeline.git.objects import (
    MODE_FILE,
    RefUpdate,
    Signature,
    blob_id,
    commit_object,
    objects_of_files,
)
from pipeline.git.repository import GitRepository
from pipeline.models.base import BlobId, CommitId, TreeId, moment_of
from pipeline.models.evidence import CheckOutcome, CheckReport, CheckResult
from pipeline.models.facts import (
    Accepted,
    Cause,
    ChecksRecorded,
    FactBody,
    PatchApplied,
    Provisioned,
    PullRequestLink,
    Scaffolded,
)
from pipeline.models.requests import CodeOrigin, Platform, PrimitiveType, Sku
from pipeline.models.status import DraftStatus
from pipeline.requests.layout import draft_path
from pipeline.state.facts import (
    fact_bytes,
    fact_path,
    fold_one,
    next_fact,
    parse_status,
    status_bytes,
    status_path,
)
from worlds import PIPELINE, requests
from worlds.requests import PEOPLE

Files = dict[str, bytes]


def id_of(word: str) -> str:
    """A Git object id made from a word."""
    return hashlib.sha1(word.encode(), usedforsecurity=False).hexdigest()


def control_files(tenants: int, drafts: int) -> Files:
    """The files of policy, and of this many tenants with this many drafts each."""
    files = requests.policy_files()
    for tenant in map(requests.tenant_name, range(tenants)):
        files |= [requests.tenant_file(tenant)]
        files |= (requests.draft_file(tenant, requests.draft_name(n)) for n in range(drafts))
    return files


class World:
    """A forge with a control repo below a folder, and a checkout beside it."""

    def __init__(self, root: Path, files: Files | None = None) -> None:
        """A new world with these files; without files, the existing one."""
        self.root = root
        platform = platform_of(files if files is not None else requests.policy_files())
        self.platform = platform
        self.forge: LocalForge = (
            create_control(root, files)
            if files is not None
            else LocalForge(root / "forge", platform.organisation)
        )
        self.name = platform.repos.control
        self.control = self.forge.open_repository(self.name)
        # With the workspace's key among the signers, since other signers would change policy.
        there = self.control.read_files("refs/heads/main")
        self.files = {path: content for path, (_, content) in there.items()}
        owner, other, *_ = (a for a in platform.accounts if PEOPLE in a.teams)
        self.owner, self.other_owner = owner.id, other.id
        self.asked = len(self.control.read_refs(("refs/heads/ask/",)))
        self.signature = Signature(
            owner.login, f"{owner.id}+{owner.login}@users.noreply.pipeline.invalid", START_TIME_S
        )

    def write(self, ref: str, files: Mapping[str, bytes], message: str) -> str:
        """The new commit with exactly these files at a ref of the control repo."""
        old = self.control.resolve(ref)
        objects = objects_of_files({path: (MODE_FILE, content) for path, content in files.items()})
        parents = [old] if old else []
        commit = commit_object(objects[-1].id, parents, message, self.signature, self.signature)
        self.control.write_objects([*objects, commit])
        self.control.update_refs([RefUpdate(ref, old, commit.id)])
        return commit.id

    def ask(self, files: Iterable[tuple[str, bytes]]) -> None:
        """Bring requests to main with a pull request that one owner opens and another approves."""
        self.files |= files
        self.asked += 1
        branch, main = f"ask/{self.asked}", self.control.resolve("refs/heads/main")
        assert main is not None  # a control repo has one
        objects = objects_of_files({p: (MODE_FILE, content) for p, content in self.files.items()})
        commit = commit_object(objects[-1].id, [main], "Ask\n", self.signature, self.signature)
        update = RefUpdate(f"refs/heads/{branch}", None, commit.id)
        self.forge.push(self.name, [*objects, commit], (update,), actor=self.owner)
        pull = self.forge.open_pull(
            self.name,
            head_branch=branch,
            base_branch="main",
            title="Ask",
            body="",
            actor=self.owner,
        )
        self.forge.submit_review(
            self.name,
            pull.number,
            commit=commit.id,
            verdict=ReviewVerdict.APPROVED,
            body="",
            actor=self.other_owner,
        )
        self.forge.merge_pull(
            self.name,
            pull.number,
            expected_head=commit.id,
            message="Ask\n",
            time_s=START_TIME_S,
            actor=self.other_owner,
        )

    def check_out(self) -> None:
        """Clone the control repo beside the forge."""
        GitRepository.clone(str(self.forge.path(self.name)), self.root / "control")

    def run(self) -> None:
        """Run the pipeline until nothing is due."""
        command = [PIPELINE, "-C", str(self.root / "control"), "run"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def run_one_plan(self) -> None:
        """Apply only the first plan."""
        pipeline = [PIPELINE, "-C", str(self.root / "control")]
        plan = str(self.root / "plan.json")
        for command in ([*pipeline, "plan", "--out", plan], [*pipeline, "apply", plan]):
            subprocess.run(
                command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )

    def pack(self) -> None:
        """Pack every repository, as forges do from time to time."""
        for path in sorted((self.root / "forge").glob("*/*.git")):
            subprocess.run(["git", "-C", str(path), "gc", "-q"], check=True)


# -- histories -----------------------------------------------------------------------------


def first_bodies(platform: Platform, tenant: str, primitive: str) -> tuple[FactBody, ...]:
    """The facts of a draft until it is scaffolded."""
    origin, name = CodeOrigin.TENANT, platform.platform
    code = names.controllers_repo(name, tenant, origin)
    gitops = names.gitops_repo(name, tenant, origin)
    instance = names.instance(tenant, primitive, origin)
    accepted = Accepted(
        tenant_id=tenant,
        primitive_id=primitive,
        primitive_type=PrimitiveType.DOMAIN,
        template_id="domain@1.0.0",
        template_digest=TreeId(id_of("template")),
        code_origin=origin,
        sku=Sku.SHARED,
        risk_tier="MEDIUM",
        target_repo=code,
        gitops_repo=gitops,
        instance=instance,
        image=names.image_repository(platform.registry.prefix, tenant, primitive),
        design_refs=("process-definition/order-to-cash@3",),
        target_namespaces={
            e: names.namespace(name, tenant, Sku.SHARED, origin, e)
            for e in ("dev", "staging", "prod")
        },
    )
    scaffolded = Scaffolded(
        branch=names.draft_branch(instance, id_of(instance)),
        commit=CommitId(id_of(f"{instance} commit")),
        tree=TreeId(id_of(f"{instance} tree")),
        pull_request=PullRequestLink(repo=code, number=1, url=f"local:{code}#1"),
    )
    return accepted, Provisioned(repos=(code, gitops)), scaffolded


def later_bodies(status: DraftStatus, count: int) -> Iterator[tuple[str, FactBody]]:
    """This many patches with their checks, each with the name of its request."""
    passed = tuple(
        CheckResult(name=name, outcome=CheckOutcome.PASSED, tool="checker 1.0", summary="passed")
        for name in ("lint", "tests", "secrets")
    )
    link = status.pull_request
    assert link is not None  # a scaffolded draft has one
    for number in range(1, count + 1):
        commit = CommitId(id_of(f"{status.id} {number}"))
        tree = TreeId(id_of(f"{status.id} tree {number}"))
        patch = f"{number:04d}"
        yield (
            f"patches/{patch}.yaml",
            PatchApplied(
                patch=patch,
                branch=status.branch_name,
                commit=commit,
                tree=tree,
                pull_request=link,
            ),
        )
        report = CheckReport(commit=commit, tree=tree, results=passed)
        yield "draft.yaml", ChecksRecorded(report=report)


def extend(
    world: World, status: DraftStatus | None, draft: str, bodies: Iterable[tuple[str, FactBody]]
) -> tuple[DraftStatus, Files]:
    """The status after these facts, and the files that record them on the state branch."""
    primitive = draft.split("/")[1]
    folder = draft_path(draft).rsplit("/", 1)[0]
    files: Files = {}
    now = moment_of(START_TIME_S)
    for request, body in bodies:
        path = f"{folder}/{request}"
        cause = Cause(
            request=path,
            commit=CommitId(id_of("main")),
            blob=BlobId(blob_id(world.files.get(path, b""))),
            run="run-1",
            actor=world.owner,
            merged_at=now,
        )
        fact = next_fact(draft, status, cause, body, decided_at=now)
        status = fold_one(status, fact)
        files[fact_path(primitive, fact.sequence, body.type)] = fact_bytes(fact)
    assert status is not None  # the first body accepts the draft
    files[status_path(primitive)] = status_bytes(status)
    return status, files


def age(world: World, patches: int, pulls: int) -> None:
    """Give every draft this many checked patches, and the control repo this many pull requests."""
    state: dict[str, Files] = {}
    asked: Files = {}
    found: list[tuple[str, DraftStatus]] = []
    for ref, head in world.control.read_refs((f"refs/heads/{names.state_branch('')}",)).items():
        files = world.control.read_files(head)
        state[ref] = {path: content for path, (_, content) in files.items()}
        for path, content in state[ref].items():
            if path.endswith("/status.yaml"):
                status = parse_status(content)
                found.append((ref, status))
                numbers = range(1, patches + 1)
                asked |= (requests.patch_file(status.id, n, status.head) for n in numbers)
    world.ask(asked.items())
    for ref, status in found:
        state[ref] |= extend(world, status, status.id, later_bodies(status, patches))[1]
    for ref, written in state.items():
        world.write(ref, written, "Record facts\n")
    _write_pulls(world, pulls)


def _write_pulls(world: World, count: int) -> None:
    """Put this many merged pull requests into the control repo's journal."""
    head = world.control.resolve(JOURNAL_REF)
    assert head is not None  # every repository of a local forge has one
    files = world.control.read_files(head)
    for number in range(1, count + 1):
        pull = PullRequest(
            repo=world.name,
            number=number,
            title=f"Ask {number}",
            body="",
            head_branch=f"request/{number}",
            head=id_of(f"head {number}"),
            base_branch="main",
            author_id=world.owner,
            state=PullState.MERGED,
            url=f"local:{world.name}#{number}",
            merge_commit=id_of(f"merge {number}"),
        )
        files |= pull_files(pull)
        files |= head_files(pull)
    world.write(JOURNAL_REF, {path: content for path, (_, content) in files.items()}, "Record\n")


# -- the worlds ----------------------------------------------------------------------------


def make_validate(root: Path, tenants: int = 100, drafts: int = 100) -> None:
    """Many valid drafts, one of them changed by the newest commit."""
    world = World(root, control_files(tenants, drafts))
    last = requests.tenant_name(tenants - 1), requests.draft_name(drafts - 1)
    world.ask([requests.draft_file(*last, "Changed")])
    world.check_out()


def make_scaffold(root: Path, pending: int) -> None:
    """A tenant with repositories and one scaffolded draft, and this many accepted drafts pending.

    So only scaffolding is measured: the drafts are accepted and their facts recorded.
    """
    world = World(root, control_files(1, 1))
    world.check_out()
    world.run()
    tenant = requests.tenant_name(0)
    world.ask(requests.draft_file(tenant, requests.draft_name(n)) for n in range(1, pending + 1))
    world.run_one_plan()


def make_asked(root: Path, tenants: int, drafts: int) -> None:
    """This many tenants with this many drafts each, requested on main and nothing done yet."""
    World(root, control_files(tenants, drafts)).check_out()


def make_many(root: Path, tenants: int) -> None:
    """This many tenants, each with one scaffolded draft."""
    world = World(root, control_files(tenants, 1))
    world.check_out()
    world.run()


def make_status(root: Path, drafts: int = 1000, facts: int = 50) -> None:
    """One state branch with this many drafts of this many facts each."""
    world = World(root, control_files(1, drafts))
    tenant = requests.tenant_name(0)
    written: Files = {}
    for number in range(drafts):
        primitive = requests.draft_name(number)
        draft = f"{tenant}/{primitive}"
        bodies = [("draft.yaml", body) for body in first_bodies(world.platform, tenant, primitive)]
        status, files = extend(world, None, draft, bodies)
        written |= files
        later = list(later_bodies(status, facts))[: facts - len(bodies)]
        written |= extend(world, status, draft, later)[1]
    world.write(f"refs/heads/{names.state_branch(tenant)}", written, "Record facts\n")
    world.pack()
    world.check_out()


def make_idle(root: Path, tenants: int, patches: int) -> None:
    """Tenants with two drafts each and nothing left to do, after this many patches per draft."""
    world = World(root, control_files(tenants, 2))
    world.check_out()
    world.run()
    age(world, patches, pulls=patches * tenants * 2)
    world.pack()


def ask_for_one(root: Path, tenant: int) -> None:
    """Request one more draft of a tenant on main."""
    world = World(root)
    name = requests.tenant_name(tenant)
    below = f"tenants/{name}/drafts/"
    number = sum(path.startswith(below) for path in world.files)
    world.ask([requests.draft_file(name, requests.draft_name(number))])


def count(root: Path) -> tuple[int, int]:
    """The numbers of drafts with a branch of code and of facts, by the state branches."""
    world = World(root)
    heads = world.control.read_refs((f"refs/heads/{names.state_branch('')}",)).values()
    statuses = [
        parse_status(content)
        for head in heads
        for path, (_, content) in world.control.read_files(head).items()
        if path.endswith("/status.yaml")
    ]
    return sum(bool(s.branch_name) for s in statuses), sum(s.facts for s in statuses)


def main(arguments: list[str]) -> int:
    """Make one world and print where it is; `NAME FOLDER [NUMBER]...`.

    `ask` requests one more draft of a tenant, `count` prints what was recorded.
    """
    makers = {
        "validate": make_validate,
        "scaffold": make_scaffold,
        "asked": make_asked,
        "many": make_many,
        "status": make_status,
        "idle": make_idle,
        "ask": ask_for_one,
    }
    name, folder, *numbers = arguments
    if name == "count":
        print(*count(Path(folder)))
        return 0
    makers[name](Path(folder), *map(int, numbers))  # type: ignore[operator] # one shape each
    print(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Authority compared with an oracle: over random changes, and over whole stories that run.

In the stories random people and bots ask, push, review and merge, through the check and past it,
while policy changes. Whatever a run did, the policy at the base allowed, as
tests/property/authority_oracle.py reads it; whatever was allowed was done; and an audit of fresh
clones agrees. `TESTS_STORIES=200` runs more of them.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from pipeline.documents import render_document
from pipeline.errors import ForgeRefused, PipelineError, StalePlan
from pipeline.forges.port import PullRequest, PullState, ReviewVerdict
from pipeline.git.objects import MODE_FILE, RefUpdate, Signature, commit_object, objects_of_files
from pipeline.requests.layout import draft_path, patch_path
from tests.attacks.disk import audit_clones, clone_all
from tests.property.authority_oracle import (
    Change,
    Policy,
    is_allowed,
    newest_words,
    read_policy,
)
from tests.property.authority_values import (
    DRAFTS,
    STORIES,
    TEAMS,
    TIME_S,
    VERDICTS,
    accounts,
    askers,
    draft_file,
    drafts,
    edited_policy,
    people,
)
from tests.support.finished_story import CONTROL
from tests.support.story import Story, patch_of, story_at

# -- stories -------------------------------------------------------------------------------


@dataclass
class Known:
    """What the story itself remembers of a pull request."""

    pushers: set[int] = field(default_factory=set)
    committers: set[int] = field(default_factory=set)
    is_pusher_known: bool = True


class Stories(RuleBasedStateMachine):
    """People and bots at a control repo, and a pipeline that runs."""

    @initialize()
    def begin(self) -> None:
        """Policy and tenants, and nothing asked for."""
        self.folder = Path(tempfile.mkdtemp(prefix="pipeline-tests-authority-"))
        self.story: Story = story_at("begun", self.folder / "world")
        self.known: dict[int, Known] = {}
        self.merged: dict[str, int] = {}  # commit of main → pull request
        self.accepted: set[tuple[str, str]] = set()  # draft, commit of main
        self.patches = 0

    def teardown(self) -> None:
        """One more run, and an audit of what all runs did."""
        if hasattr(self, "story"):
            self.run()
            self.audit()
            self.story.close()
            shutil.rmtree(self.folder)

    # -- what is there ------------------------------------------------------------------

    def files_at(self, commit: str) -> dict[str, bytes]:
        git = self.story.forge.open_repository(CONTROL)
        return {path: content for path, (_, content) in git.read_files(commit).items()}

    def main(self) -> str:
        found = self.story.forge.open_repository(CONTROL).resolve("refs/heads/main")
        assert found is not None
        return found

    def pull(self, number: int) -> PullRequest:
        return self.story.forge.read_pull(CONTROL, number)

    def open_pulls(self) -> list[int]:
        return [n for n in self.known if self.pull(n).state is PullState.OPEN]

    def push(
        self,
        branch: str,
        base: str,
        old: str | None,
        changes: Mapping[str, bytes],
        who: int,
        named: int,
    ) -> None:
        git = self.story.forge.open_repository(CONTROL)
        files = {**git.read_files(base), **{p: (MODE_FILE, c) for p, c in changes.items()}}
        objects = objects_of_files(files)
        me = Signature("somebody", f"{named}+x@users.noreply.pipeline.invalid", TIME_S)
        commit = commit_object(objects[-1].id, [base], "Ask\n", me, me)
        update = RefUpdate(f"refs/heads/{branch}", old, commit.id)
        self.story.forge.push(CONTROL, [*objects, commit], (update,), actor=who)

    def ask(self, changes: Mapping[str, bytes], asker: int, named: int) -> None:
        branch = f"ask/{len(self.known) + 1}"
        self.push(branch, self.main(), None, changes, asker, named)
        pull = self.story.forge.open_pull(
            CONTROL, head_branch=branch, base_branch="main", title="Ask", body="", actor=asker
        )
        self.known[pull.number] = Known({asker}, {named})

    # -- what people do -----------------------------------------------------------------

    @rule(
        draft=drafts,
        origin=st.sampled_from(("tenant", "tenant", "platform")),
        asker=askers,
        named=st.one_of(st.none(), accounts),
    )
    def ask_for_draft(self, draft: str, origin: str, asker: int, named: int | None) -> None:
        """A draft, or a new revision of it."""
        self.ask({draft_path(draft): draft_file(draft, origin)}, asker, named or asker)

    @rule(draft=drafts, asker=askers, number=st.integers(1, 3))
    def ask_for_patch(self, draft: str, asker: int, number: int) -> None:
        """A patch of a draft that is scaffolded."""
        try:
            status = self.story.engine.status(draft)
        except PipelineError:
            return
        if not status.head:
            return
        self.patches += 1
        content = patch_of(draft, status.head, {"src/late.py": f"x = {self.patches}\n"})
        self.ask({patch_path(draft, f"{number:04}"): content}, asker, asker)

    @rule(draft=drafts, environment=st.sampled_from(("dev", "staging")), asker=askers)
    def ask_for_promotion(self, draft: str, environment: str, asker: int) -> None:
        """What `promote request` would propose."""
        try:
            proposal = self.story.engine.propose_promotion(draft, environment, reason="Try it")
        except PipelineError:
            return
        value = proposal.promotion.model_dump(mode="json", by_alias=True, exclude_none=True)
        tenant, primitive = draft.split("/")
        path = f"tenants/{tenant}/drafts/{primitive}/promotions/{environment}.yaml"
        self.ask({path: render_document(value)}, asker, asker)

    @rule(
        what=st.sampled_from(("staging", "person", "bot", "unlisted", "tier")),
        teams=st.lists(st.sampled_from(TEAMS), min_size=1, max_size=2, unique=True),
        count=st.integers(1, 2),
        asker=st.one_of(st.sampled_from((1101, 1102)), accounts),
        also=st.one_of(st.none(), st.none(), drafts),
    )
    def ask_for_policy(
        self, what: str, teams: list[str], count: int, asker: int, also: str | None
    ) -> None:
        """A change of policy, sometimes with a request beside it."""
        changes = edited_policy(what, tuple(teams), count, self.files_at(self.main()))
        if also:
            changes[draft_path(also)] = draft_file(also, "tenant")
        self.ask(changes, asker, asker)

    @rule(draft=drafts, also=st.sampled_from(("nothing", "patch", "dev")))
    def ask_in_good_order(self, draft: str, also: str) -> None:
        """Who may ask does, who may approve does, and it is merged by the check and followed."""
        tenant = draft.split("/")[0]
        bot, engineer = {"acme": (1901, 1201), "contoso": (1902, 1301)}[tenant]
        before = len(self.known)
        if draft not in self.statuses():
            self.ask_for_draft(draft, "tenant", bot, None)
        elif also == "patch":
            self.ask_for_patch(draft, bot, 1)
        elif also == "dev":
            self.ask_for_promotion(draft, "dev", bot)
        for number in list(self.known)[before:]:
            self.submit(number, engineer, "approved")
            self.merge_one(number, engineer, judged=True)
        self.run()

    @precondition(lambda self: self.open_pulls())
    @rule(data=st.data(), who=accounts, named=accounts)
    def push_onto(self, data: st.DataObject, who: int, named: int) -> None:
        """Somebody pushes one more commit to a branch."""
        number = data.draw(st.sampled_from(self.open_pulls()))
        pull = self.pull(number)
        changes = {draft_path("acme/three"): draft_file("acme/three", "tenant")}
        self.push(pull.head_branch, pull.head, pull.head, changes, who, named)
        self.known[number].pushers.add(who)
        self.known[number].committers.add(named)

    @precondition(lambda self: self.known)
    @rule(
        data=st.data(),
        who=st.lists(
            st.one_of(st.sampled_from((1201, 1102, 1501)), accounts), min_size=1, max_size=3
        ),
        verdict=st.sampled_from((*VERDICTS, "approved", "approved", "approved")),
    )
    def review(self, data: st.DataObject, who: list[int], verdict: str) -> None:
        """Some say something of a pull request, open or merged."""
        number = data.draw(st.sampled_from(sorted(self.known)))
        for account in who:
            self.submit(number, account, verdict)

    def submit(self, number: int, account: int, verdict: str) -> None:
        with suppress(ForgeRefused):  # an author who approves
            self.story.forge.submit_review(
                CONTROL,
                number,
                commit=self.pull(number).head,
                verdict=ReviewVerdict(verdict),
                body="",
                actor=account,
            )

    @precondition(lambda self: self.open_pulls())
    @rule(data=st.data(), who=people, judged=st.booleans())
    def merge(self, data: st.DataObject, who: int, judged: bool) -> None:
        """Merge if the check passes, or past it; the check says what the oracle says."""
        self.merge_one(data.draw(st.sampled_from(self.open_pulls())), who, judged=judged)

    def merge_one(self, number: int, who: int, *, judged: bool) -> None:
        pull, base = self.pull(number), self.main()
        try:
            found = self.story.engine.judge.pull(number, with_previews=False)
        except StalePlan:
            return  # it conflicts with main
        git = self.story.forge.open_repository(CONTROL)
        tree = git.merge_tree(base, pull.head)
        wanted = self.is_allowed(pull, base, tree, base)
        pending = self.pending(base)
        if not pending:
            assert found.authority.is_complete == wanted, (found.authority.reasons, pull)
        if judged and not found.passed:
            return
        try:
            commit = self.story.forge.merge_pull(
                CONTROL,
                number,
                expected_head=pull.head,
                message="Merge\n",
                time_s=TIME_S,
                actor=who,
            )
        except ForgeRefused:
            return
        self.merged[commit] = number

    # -- what the pipeline does, and whether it was right --------------------------------

    def is_allowed(
        self, pull: PullRequest, base: str, tree: str, now: str, tier: str = "LOW"
    ) -> bool:
        """By the oracle, of all that a pull request changes."""
        git, known = self.story.forge.open_repository(CONTROL), self.known[pull.number]
        reviews = [(r.user_id, r.commit, r.verdict.value) for r in pull.reviews]
        change = Change(
            git.diff_names(base, tree),
            pull.author_id,
            frozenset(known.pushers),
            known.is_pusher_known,
            frozenset(known.committers),
            newest_words(reviews, pull.head),
        )
        tiers = [tier]
        for path in change.paths:
            parts = path.split("/")
            if len(parts) > 3 and parts[2] == "drafts":
                tiers += [
                    s.risk_tier
                    for s in self.statuses().values()
                    if s.id == f"{parts[1]}/{parts[3]}"
                ]
        highest = max(tiers, key=("LOW", "MEDIUM", "HIGH").index)
        policy = self.policy_at
        return is_allowed(change, policy(base), policy(tree), policy(now), highest)

    def policy_at(self, commit: str) -> Policy:
        return read_policy(self.files_at(commit))

    def statuses(self) -> dict[str, object]:
        return {status.id: status for status in self.story.engine.statuses()}

    def pending(self, commit: str) -> bool:
        """Whether policy that nobody of those who may approved stands at a commit of main."""
        git = self.story.forge.open_repository(CONTROL)
        line = [commit]
        while git.read_commit(line[-1]).parents:
            line.append(git.read_commit(line[-1]).parents[0])
        open_files: dict[str, bytes | None] = {}
        for new, old in reversed(list(pairwise(line))):
            paths = [
                p
                for p in git.diff_names(old, new)
                if p.startswith("environments/") or re.fullmatch(r"tenants/[^/]+/tenant\.yaml", p)
            ]
            if not paths:
                continue
            before, after = self.files_at(old), self.files_at(new)
            if not open_files:
                number = self.merged.get(new)
                good = number is not None and self.is_allowed(self.pull(number), old, new, old)
                if not good:
                    open_files = {p: before.get(p) for p in paths}
                continue
            for path in paths:
                open_files.setdefault(path, before.get(path))
                if open_files[path] == after.get(path):
                    del open_files[path]
        return bool(open_files)

    @rule()
    def run(self) -> None:
        """A run: what it did was allowed, and what was allowed it did."""
        before = {id: status.facts for id, status in self.statuses().items()}  # type: ignore[attr-defined]  # a status
        report = self.story.engine.run(tenants=["acme", "contoso"])
        assert report.failures == (), report.failures
        now, pending = self.main(), self.pending(self.main())
        for id in self.statuses():
            new = self.story.engine.facts(id)[before.get(id, 0) :]
            assert not (new and pending), f"{id} went on with policy that nobody approved"
            for fact in new:
                event(fact.body.type)
                if fact.body.type.endswith("-refused"):
                    continue
                cause = fact.cause
                number = self.merged.get(cause.commit)
                assert number is not None, f"{cause.request} came by no pull request"
                git = self.story.forge.open_repository(CONTROL)
                base = git.read_commit(cause.commit).parents[0]
                assert not self.pending(base), f"{cause.request} was judged by policy of nobody"
                pull = self.pull(number)
                begun = (id, cause.commit)
                if fact.body.type == "checks-recorded" and begun in self.accepted:
                    # They follow a patch, which was judged by itself. Whoever takes back an
                    # approval of the draft later does not take back the draft.
                    continue
                assert self.is_allowed(pull, base, cause.commit, now), (fact.body.type, pull)
                if fact.body.type == "accepted":
                    self.accepted.add(begun)
                assert cause.brought is not None and cause.brought.author == pull.author_id
                for account in getattr(fact.body, "approved_by", ()):
                    assert account not in self.known[number].pushers | {pull.author_id}
        if not pending:
            self.was_done(now)

    def was_done(self, now: str) -> None:
        """Every draft on main that was allowed is accepted."""
        git = self.story.forge.open_repository(CONTROL)
        statuses = self.statuses()
        for draft in (*DRAFTS, "acme/three"):
            path = draft_path(draft)
            found = git.read_object(f"{now}:{path}")
            if found is None:
                continue
            commits = [
                c
                for c, n in self.merged.items()
                if path in git.diff_names(git.read_commit(c).parents[0], c)
            ]
            commit = next(c for c in reversed(commits) if git.is_ancestor(c, now))
            base = git.read_commit(commit).parents[0]
            if self.pending(base):
                continue
            allowed = self.is_allowed(self.pull(self.merged[commit]), base, commit, now)
            status = statuses.get(draft)
            is_same = status is None or status.code_origin == (  # type: ignore[attr-defined]  # a status
                "platform" if b"code_origin: platform" in found.content else "tenant"
            )
            if allowed and is_same:
                assert status is not None, f"{draft} was allowed and is not accepted"
                assert status.requests.get(path) == found.id  # type: ignore[attr-defined]  # a status

    def audit(self) -> None:
        """The audit of fresh clones finds nothing wrong with what runs did."""
        folder = self.folder / "clones"
        folder.mkdir()

        class _World:
            story = self.story

        report = audit_clones(clone_all(_World, folder))  # type: ignore[arg-type]  # its story alone
        pending = self.pending(self.main())
        found = [
            f for f in report.findings if not (pending and f.code == "policy-without-authority")
        ]
        assert found == [], found


Stories.TestCase.settings = settings(
    max_examples=STORIES,
    stateful_step_count=16,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
TestStories = Stories.TestCase

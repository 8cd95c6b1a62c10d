"""Facts compared with the code repository: scaffolds, patches, checked and built source trees.

A scaffold or patch is made again from its request and parent commit; the result must equal the
commit in the clone, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from pipeline import names
from pipeline.audit import rules as rule
from pipeline.audit.cases import FactCase, at_base, commit_problem, folder_at, parents_at
from pipeline.audit.objects import Objects
from pipeline.audit.reading import build_of
from pipeline.diagnostics import Finding
from pipeline.gate.provenance import provenance_problem
from pipeline.git.commits import Commit
from pipeline.models.facts import Built, ChecksRecorded, PatchApplied, PatchRefused, Scaffolded
from pipeline.models.provenance import Claim
from pipeline.models.requests import DraftPatch, ReplaceText
from pipeline.plan.effects import CommitFolder
from pipeline.plan.patches import PatchGround, patched_folder
from pipeline.plan.view import DraftView, PatchInput
from pipeline.requests import patches as patch_rule
from pipeline.stages.patch import plan_patch
from pipeline.stages.scaffold import plan_scaffold
from pipeline.state.fact_types import type_of

# Reasons against a patch that follow from its request and the folder it was applied to.
_RECOMPUTED = frozenset(
    {
        patch_rule.PATCH_BASE_STALE.id,
        patch_rule.PATCH_DOES_NOT_APPLY.id,
        patch_rule.PATCH_CHANGES_NOTHING.id,
    }
)


def check_source_tree(case: FactCase) -> Iterator[Finding]:
    """Findings for sources named by a fact whose commit, folder or files are missing."""
    for commit, tree in type_of(case.fact.body).sources(case.fact.body):
        if not case.is_caused:
            return
        code, folder = case.code, names.primitive_folder(case.chain.status.instance)
        if code is None or folder_at(code, commit, folder) != tree:
            yield case.finding(
                rule.AUDIT_SOURCE_MISSING,
                f"{case.chain.status.target_repo} lacks commit {commit[:12]} with tree {tree[:12]}",
            )
            continue
        code.read_whole(tree)
        case.audit.proves("source trees found whole")


def _is_there(case: FactCase, commit: str, tree: str) -> Objects | None:
    """The clone that holds a source; None if `check_source_tree` reports it."""
    folder = names.primitive_folder(case.chain.status.instance)
    code = case.code if case.is_caused else None
    return code if code is not None and folder_at(code, commit, folder) == tree else None


def check_scaffold(case: FactCase) -> Iterator[Finding]:
    """Findings unless the commit is the rendered template on the branch of its key."""
    body = case.fact.body
    if not isinstance(body, Scaffolded):
        return
    code = _is_there(case, body.commit, body.tree)
    if code is None or case.before is None:
        return
    found = code.commit(body.commit)
    problem = _scaffold_problem(case, code, found)
    if problem:
        yield case.finding(
            rule.AUDIT_SOURCE_DIFFERS,
            f"commit {body.commit[:12]} is not a scaffold of it: {problem}",
        )
        return
    if problem is None:
        case.audit.proves("commits of code made again bit for bit")
    else:
        case.audit.trusts("what a template that is not at hand rendered", "the pipeline")
    yield from _check_branch(case, body, dict(found.trailers).get("Key", ""))


def _scaffold_problem(case: FactCase, code: Objects, found: Commit) -> str | None:
    """How a commit differs from the scaffold; None if equal, empty without its template."""
    problem: str | None = "it has no parent, or no policy lets it be planned"
    for view in case.views() if found.parents else ():
        if view.template.digest != case.template_digest or not view.template.files:
            return ""
        base = found.parents[0]
        view = at_base(view, view.target_repo, base, parents_at(code, base, view.folder))
        step = plan_scaffold(view)
        planned = _commit_of(step.effects) if step else None
        if planned is not None:
            problem = commit_problem(case, found, planned, view.base_parents)
        if problem is None:
            return None
    return problem


def _commit_of(effects: tuple[object, ...]) -> CommitFolder | None:
    return next((e for e in effects if isinstance(e, CommitFolder)), None)


def _check_branch(case: FactCase, body: Scaffolded | PatchApplied, key: str) -> Iterator[Finding]:
    """A finding unless the branch is that of the commit's key, or the draft's own."""
    expected = {names.draft_branch(case.chain.status.instance, key)}
    if isinstance(body, PatchApplied) and case.before is not None:
        expected.add(case.before.branch_name)
    link = body.pull_request
    if body.branch not in expected or link.repo != case.chain.status.target_repo:
        yield case.finding(
            rule.AUDIT_NAME_DIFFERS, f"`{body.branch}` of {link.repo} is not a branch of this draft"
        )
        return
    case.audit.trusts("which pull request shows a branch", "the forge")


def check_patch_commit(case: FactCase) -> Iterator[Finding]:
    """Findings unless the commit is its request's patch on its parent's folder."""
    body, patch = case.fact.body, case.request
    if not isinstance(body, PatchApplied) or not isinstance(patch, DraftPatch):
        return
    code = _is_there(case, body.commit, body.tree)
    if code is None or case.before is None:
        return
    found = code.commit(body.commit)
    problem = _patch_problem(case, code, found, patch, body.patch)
    if problem is not None:
        yield case.finding(
            rule.AUDIT_SOURCE_DIFFERS, f"commit {body.commit[:12]} is not its patch: {problem}"
        )
        return
    case.audit.proves("commits of code made again bit for bit")
    case.audit.trusts("that a patch held no credential and broke no rule", "the pipeline")
    yield from _check_branch(case, body, dict(found.trailers).get("Key", ""))


def _patch_problem(
    case: FactCase, code: Objects, found: Commit, patch: DraftPatch, number: str
) -> str | None:
    """How a commit differs from the patch on its parent; None if equal bit for bit."""
    problem: str | None = "it has no parent, or no policy lets it be planned"
    for view in case.views() if found.parents else ():
        base = found.parents[0]
        parents = parents_at(code, base, view.folder)
        due = _patch_input(case, code, view, patch, base, number)
        step = plan_patch(
            replace(
                at_base(view, view.target_repo, base, parents), patch=replace(due, parents=parents)
            )
        )
        planned = _commit_of(step.effects) if step else None
        problem = "its parent or its asker does not let the patch be applied"
        if planned is not None:
            problem = commit_problem(case, found, planned, parents)
        if problem is None:
            return None
    return problem


def _patch_input(
    case: FactCase, code: Objects, view: DraftView, patch: DraftPatch, head: str, number: str
) -> PatchInput:
    return PatchInput(
        number=number,
        patch=patch,
        caused=view.caused,
        head=head,
        result=patched_folder(patch, _patch_ground(code, view.folder, patch, head)),
        parents=(),
        is_followup=case.before is not None and head != case.before.head,
    )


def _patch_ground(code: Objects, folder: str, patch: DraftPatch, head: str) -> PatchGround:
    listing = _listing(code, head, folder) or {}
    base = patch.base_commit
    base_listing = None if code.find_commit(base) is None else _listing(code, base, folder)
    replaced = [c.path for c in patch.changes if isinstance(c, ReplaceText) and c.path in listing]
    found = code.read([listing[path][1] for path in replaced])
    contents = {path: item.content for path, item in zip(replaced, found, strict=True)}
    return PatchGround(listing, base_listing, contents)


def _listing(code: Objects, commit: str, folder: str) -> Mapping[str, tuple[int, str]]:
    tree = folder_at(code, commit, folder)
    return _files_of(code, tree) if tree is not None else {}


def _files_of(code: Objects, tree: str) -> Mapping[str, tuple[int, str]]:
    listed = code.listing(tree)
    return {path: (entry.mode, entry.id) for path, entry in listed.items()}


def check_patch_refused(case: FactCase) -> Iterator[Finding]:
    """Findings unless the reasons that can be computed again come out the same."""
    body, patch, before = case.fact.body, case.request, case.before
    if not isinstance(body, PatchRefused) or not isinstance(patch, DraftPatch):
        return
    told = {reason.code for reason in body.reasons}
    view = next(case.views(), None)
    cause = case.fact.cause
    request = f"{cause.request}@{cause.commit}"
    if case.code is not None and request in case.audit.requests_followed(case.code):
        yield case.finding(rule.AUDIT_REFUSAL_MISFIT, f"{case.code.name} has a commit of {request}")
        return
    if not told & _RECOMPUTED or before is None or view is None or case.code is None:
        case.audit.trusts("why a patch was refused", "the pipeline")
        return
    code = case.code
    if code.find_commit(before.head) is None:
        return  # the check of the fact that named it reports it
    ground = _patch_ground(code, view.folder, patch, before.head)
    # After the draft was merged a patch applied to main's folder, as of some unknown time.
    merged = [_files_of(code, tree) for tree in sorted(case.audit.trees_on_main(code, view.folder))]
    for listing in (ground.listing, *merged):
        result = patched_folder(patch, replace(ground, listing=listing))
        again = {reason.code for reason in result.reasons}
        if told & _RECOMPUTED <= again:
            case.audit.proves("refusals of patches computed again")
            return
    listed = ", ".join(f"`{code}`" for code in sorted(told & _RECOMPUTED))
    yield case.finding(rule.AUDIT_REFUSAL_MISFIT, f"the patch and its draft do not give {listed}")


def check_built(case: FactCase) -> Iterator[Finding]:
    """Findings unless it is the tree's one image, named after the draft, with signed provenance."""
    body = case.fact.body
    if not isinstance(body, Built) or not case.is_caused:
        return
    build, status = body.build, case.chain.status
    if build_of(case.chain, build.source_tree, case.fact.sequence) is not None:
        yield case.finding(
            rule.AUDIT_DIGEST_DIFFERS,
            f"tree {build.source_tree[:12]} was built before, as another image",
        )
    if build.image != status.image:
        yield case.finding(
            rule.AUDIT_NAME_DIFFERS, f"`{build.image}` is not the draft's `{status.image}`"
        )
    policy = case.audit.main.policy_at(case.fact.cause.commit, case.tenant)
    if policy.signers is None or not build.bundle:
        case.audit.trusts("what an image was built from", "the builder, which signed nothing")
        return
    claim = Claim(build, status.target_repo, names.primitive_folder(status.instance))
    problem = None
    for policy in case.audit.main.policies_since(case.fact.cause.commit, case.tenant):
        if policy.signers is None:
            continue
        verified = case.audit.verified(build.bundle, policy.signers)
        problem = provenance_problem(verified, claim, policy.signers)
        if problem is None and verified is not None:
            case.audit.proves("signed statements of builds verified")
            case.audit.trusts("what an image was built from", f"signer `{verified.signer}`")
            return
    if problem is not None:
        yield case.finding(rule.AUDIT_PROVENANCE, f"{problem[0].id}: {problem[1]}")


def check_checked(case: FactCase) -> Iterator[Finding]:
    """A finding if a report lists a check twice."""
    body = case.fact.body
    if not isinstance(body, ChecksRecorded):
        return
    ran = [result.name for result in body.report.results]
    if len(ran) != len(set(ran)):
        yield case.finding(rule.AUDIT_TOLD_MISFIT, "a check is reported twice")

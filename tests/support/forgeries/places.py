"""Forgeries in the GitOps repository, in the code, and in today's policy."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.git.objects import MODE_FILE, TreeEntry, commit_object, parse_tree, tree_object
from pipeline.models.facts import Built
from tests.support.finished_story import CODE, CONTROL, GITOPS
from tests.support.forgeries.ways import BUILT, NOWHERE, PIPELINE, PROD, Forgery, beside
from tests.support.state_writer import Forger


def write(path: str, content: bytes, mode: int = MODE_FILE) -> Callable[[Forger], object]:
    """Write a file to GitOps main, in the pipeline's name."""
    return lambda f: f.add(
        GITOPS, lambda files: files.update({path: (mode, content)}), signature=PIPELINE
    )


def overlay_there_and_back(f: Forger) -> None:
    """Change an overlay in the pipeline's name, and change it back."""
    path = "environments/prod/order-router/kustomization.yaml"
    old = f.files(GITOPS)[path]
    write(path, old[1] + b"# quickly\n")(f)
    write(path, old[1])(f)


def other_root(f: Forger) -> None:
    """Rewrite the GitOps repository from another first commit on."""
    parent: str | None = None
    git = f.gits[GITOPS]
    changed: dict[str, str] = {}
    for commit in reversed(list(git.log_commits(f.head(GITOPS)))):
        files = f.files(GITOPS, commit.id)
        files["CODEOWNERS"] = (MODE_FILE, b"* @somebody\n")
        parents = [changed[p] for p in commit.parents]
        changed[commit.id] = f.commit(GITOPS, files, parents, commit.message, commit.author)
        parent = changed[commit.id]
    assert parent is not None
    f.put(GITOPS, "main", parent)


def merge_brings_more(f: Forger) -> None:
    """Add a workflow to the merge of the newest promotion."""
    git, head = f.gits[GITOPS], f.head(GITOPS)
    merge = git.read_commit(head)
    files = f.files(GITOPS)
    files[".github/workflows/x.yaml"] = (MODE_FILE, b"on: push\n")
    top = f.commit(GITOPS, files, merge.parents, merge.message, merge.author)
    f.put(GITOPS, "main", top)
    f.retell_body(PROD, gitops_commit=top)


def submodule(f: Forger) -> None:
    """Add a submodule beside the overlays: a tree entry without an object."""
    git, head = f.gits[GITOPS], f.head(GITOPS)
    root = git.read_object(f"{head}^{{tree}}")
    assert root is not None
    made = tree_object([*parse_tree(root.content), TreeEntry(0o160000, "vendor", NOWHERE)])
    commit = commit_object(made.id, [head], "Take it in\n", PIPELINE, PIPELINE)
    git.write_objects([made, commit])
    f.put(GITOPS, "main", commit.id)


def blocked(f: Forger) -> None:
    """Block the digest that runs in prod in today's policy."""
    built = f.body(BUILT)
    assert isinstance(built, Built)
    text = (
        "apiVersion: pipeline.ameide.io/v1\nkind: BlockedDigests\ndigests:\n"
        f"  - {{digest: '{built.build.digest}', reason: Leaks}}\n"
    )
    path = "environments/blocked-digests.yaml"
    f.add(CONTROL, lambda files: files.update({path: (MODE_FILE, text.encode())}))


_OVERLAY = "environments/prod/order-router"


PLACES = (
    Forgery(
        "a README in the pipeline's name",
        write("README.md", b"# Mine\n"),
        "other-commits",
        "audit-foreign-commit",
    ),
    Forgery(
        "a workflow that came with a promotion",
        merge_brings_more,
        "other-commits",
        "audit-foreign-commit",
    ),
    Forgery(
        "a file right below environments/",
        write("environments/x.yaml", b"x: 1\n"),
        "overlays",
        "audit-overlay-without-fact",
    ),
    Forgery(
        "a folder that runs elsewhere",
        write("environments/dev/other/kustomization.yaml", b"namespace: tenant-acme-prod-cust\n"),
        "overlays",
        "audit-overlay-without-fact",
    ),
    Forgery(
        "a source override beside an overlay",
        write(f"{_OVERLAY}/.argocd-source.yaml", b"kustomize: {images: [x]}\n"),
        "overlays",
        "audit-overlay-tree",
    ),
    Forgery(
        "an overlay changed and changed back",
        overlay_there_and_back,
        "overlay-commits",
        "audit-foreign-commit",
    ),
    Forgery(
        "a link beside the overlays", write("docs", b"/etc", 0o120000), "modes", "audit-file-mode"
    ),
    Forgery("a submodule beside the overlays", submodule, "modes", "audit-file-mode"),
    Forgery(
        "a repository with another beginning", other_root, "first-commit", "audit-foreign-commit"
    ),
    Forgery("a blocked digest that runs", blocked, "blocked", "audit-digest-blocked"),
    Forgery(
        "a folder of code that no draft put there",
        lambda f: f.add(CODE, beside),
        "folders",
        "audit-folder-without-draft",
    ),
)

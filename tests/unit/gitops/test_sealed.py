"""The contents of a GitOps repository compared with the record: by ids alone, path by path."""

from __future__ import annotations

import pytest

from pipeline.git.objects import (
    MODE_FILE,
    MODE_SUBMODULE,
    MODE_SYMLINK,
    MODE_TREE,
    TreeEntry,
    objects_of_files,
    parse_tree,
    tree_id_of_files,
)
from pipeline.gitops.proposals import is_below_root, is_plain
from pipeline.gitops.sealed import (
    MAX_TOLD,
    Difference,
    Listing,
    check_gitops,
    restored_objects,
    tree_of_overlays,
)
from tests.support.fact_history import id_of

REPO, FOLDER = "tenant-acme-gitops", "environments/prod/order-router"
SEALED: Listing = {
    "kustomization.yaml": (MODE_FILE, id_of("kustomization")),
    "base/deployment.yaml": (MODE_FILE, id_of("deployment")),
}


def told(there: Listing | None, sealed: Listing | None = SEALED) -> list[tuple[str, str]]:
    """The places and messages of what is wrong with one path."""
    found = check_gitops(REPO, [Difference(FOLDER, sealed, there)])
    return [(f.location.file.partition(":")[2], f.message) for f in found]


def test_the_promoted_tree_has_no_incident() -> None:
    assert told(SEALED) == []
    assert told(None, None) == []


def test_each_foreign_path_is_its_own_incident() -> None:
    there = {
        "kustomization.yaml": (MODE_FILE, id_of("another")),
        ".argocd-source.yaml": (MODE_FILE, id_of("override")),
        "charts": (MODE_SYMLINK, id_of("link")),
        "theirs": (MODE_SUBMODULE, id_of("commit")),
    }
    assert told(there) == [
        (f"{FOLDER}/.argocd-source.yaml", "a file beside what was promoted"),
        (f"{FOLDER}/base/deployment.yaml", "a file of what was promoted is gone"),
        (f"{FOLDER}/charts", "a link beside what was promoted"),
        (f"{FOLDER}/kustomization.yaml", "it is not what was promoted"),
        (f"{FOLDER}/theirs", "a submodule beside what was promoted"),
    ]


def test_a_changed_mode_is_an_incident() -> None:
    there = {**SEALED, "kustomization.yaml": (0o100755, id_of("kustomization"))}
    [(path, message)] = told(there)
    assert path == f"{FOLDER}/kustomization.yaml" and "100755" in message


@pytest.mark.parametrize(
    ("there", "what"),
    [
        ({"a": (MODE_FILE, id_of("a"))}, "a folder of 1 file "),
        ({"a": (MODE_FILE, id_of("a")), "b": (MODE_FILE, id_of("b"))}, "a folder of 2 files "),
        ({"": (MODE_FILE, id_of("a"))}, "a file "),
        ({"": (MODE_SYMLINK, id_of("a"))}, "a link "),
        ({"": (MODE_SUBMODULE, id_of("a"))}, "a submodule "),
    ],
)
def test_an_unknown_folder_is_one_incident(there: Listing, what: str) -> None:
    [(path, message)] = told(there, None)
    assert path == FOLDER and message == f"{what}that no fact of a promotion knows"


def test_thousands_of_files_give_a_few_incidents() -> None:
    many = {f"{n:05}.yaml": (MODE_FILE, id_of(str(n))) for n in range(5_000)}
    lines = told({**SEALED, **many})
    assert len(lines) == MAX_TOLD + 1
    assert lines[-1] == (FOLDER, f"{5_000 - MAX_TOLD} more files are not as promoted")


def test_invisible_characters_in_a_name_are_shown() -> None:
    [(path, _)] = told({**SEALED, "a\x1b[31m\nb": (MODE_FILE, id_of("a"))})
    assert "\x1b" not in path and "\n" not in path


def test_a_restore_gives_the_promoted_trees_and_leaves_the_rest() -> None:
    overlay = {"kustomization.yaml": (MODE_FILE, b"one\n"), "base/a.yaml": (MODE_FILE, b"a\n")}
    files = {f"{FOLDER}/{path}": entry for path, entry in overlay.items()}
    readme = {"README.md": (MODE_FILE, b"# What runs\n")}
    foreign = {**files, **readme, "environments/dev/x/a.yaml": (MODE_FILE, b"x\n")}
    root = parse_tree(objects_of_files(foreign)[-1].content)
    overlays = {FOLDER: tree_id_of_files(overlay)}
    assert restored_objects(root, overlays)[-1].id == tree_id_of_files({**files, **readme})
    assert restored_objects(root, {})[-1].id == tree_id_of_files(readme)
    below = tree_id_of_files({p.removeprefix("environments/"): e for p, e in files.items()})
    assert tree_of_overlays(overlays) == below
    assert tree_of_overlays({}) is None
    link = [TreeEntry(MODE_SYMLINK, "environments", id_of("link"))]
    assert restored_objects(link, overlays)[-1].id == tree_id_of_files(files)
    assert (MODE_TREE, "environments") in {
        (e.mode, e.name) for e in parse_tree(restored_objects(link, overlays)[-1].content)
    }


@pytest.mark.parametrize(
    "path", ["README.md", "CODEOWNERS", "docs/how to.md", ".github/workflows/a.yaml", "LICENSE"]
)
def test_people_may_propose_plain_files(path: str) -> None:
    assert is_plain(path) and not is_below_root(path)


@pytest.mark.parametrize(
    "path",
    [
        ".gitattributes",
        "docs/.GitModules",
        ".git/config",
        ".github-x/a",
        "a//b",
        "/a",
        "a/",
        ":(glob)**",
        "-rf",
        "a\nb",
        "naïve.md",
        "x" * 101,
    ],
)
def test_other_paths_are_refused(path: str) -> None:
    assert not is_plain(path)


@pytest.mark.parametrize("path", ["environments", "Environments/x", "ｅnvironments/prod/x"])
def test_every_spelling_of_environments_counts_as_an_overlay(path: str) -> None:
    assert is_below_root(path)

"""The changes of a revision, as `attack.yaml` lists them: for each file a kind and its arguments.

- draft: {id: acme/order-router, origin: platform}
- patch: {draft: acme/order-router, files: {src/x.py: "x = 1\n"}}
- promotion: {draft: acme/order-router, to: prod}
- group: {name: raid, to: dev, drafts: [acme/order-router, contoso/orders]}
- edit: {path: environments/prod/environment.yaml, "count: 2": "count: 1"}
- copy: {path: tenants/acme/tenant.yaml, to: tenants/new/tenant.yaml, acme: new}
- write: {path: notes.txt, text: "x"}        # or `file:`, a file of the attack's folder
- delete: environments/prod/environment.yaml
- link: {path: tenants/acme/drafts/x, to: ../../contoso}
- mode: {tenants/acme/tenant.yaml: 0100755}
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from pipeline.documents import render_document
from pipeline.forges.port import PullState
from pipeline.git.objects import MODE_FILE
from pipeline.models.requests import CodeOrigin
from pipeline.names import controllers_repo
from pipeline.requests.identity import draft_example
from pipeline.requests.layout import draft_path, group_path, patch_path, promotion_path
from tests.attacks.worlds import AttackWorld
from tests.support.samples import DRAFT

Files = dict[str, tuple[int, bytes]]
Change = Callable[[AttackWorld, Files, Any], None]
MODE_LINK = 0o120000
CHANGES: dict[str, Change] = {}


def change(function: Change) -> Change:
    """Register a change under its function's name."""
    CHANGES[function.__name__] = function
    return function


def changed(world: AttackWorld, files: Files, listed: Sequence[Any]) -> Files:
    """The files after the listed changes."""
    files = dict(files)
    for item in listed:
        [(kind, words)] = item.items()
        CHANGES[kind](world, files, words)
    return files


@change
def draft(world: AttackWorld, files: Files, words: Any) -> None:
    """A draft's request; `origin`, `body` (text → text) and `at` differ from the example."""
    id = words["id"]
    tenant, primitive = id.split("/")
    origin = words.get("origin", "tenant")
    target = controllers_repo("ameide", tenant, CodeOrigin(origin))
    text = draft_example(id=id, tenant=tenant, primitive=primitive)
    text = _replaced(text, {"code_origin: tenant": f"code_origin: {origin}"})
    text = _replaced(text, {"tenant-acme-controllers": target})
    owner = "platform" if origin == "platform" else tenant
    text = text.replace("acme-engineers", f"{owner}-engineers")
    text = _replaced(text, words.get("body", {}))
    files[words.get("at", draft_path(id))] = (MODE_FILE, text.encode())


@change
def group(world: AttackWorld, files: Files, words: Any) -> None:
    """A release group, each member at the newest commit of acme's draft."""
    commit = newest(world, DRAFT)
    value = {
        "apiVersion": "pipeline.ameide.io/v1",
        "kind": "ReleaseGroup",
        "environment": words["to"],
        "reason": "They belong together",
        "members": [
            {"draft": draft, "release": {"source_commit": commit}} for draft in words["drafts"]
        ],
    }
    files[group_path(words["name"])] = (MODE_FILE, render_document(value))


@change
def patch(world: AttackWorld, files: Files, words: Any) -> None:
    """A patch of files, made against the draft's newest commit unless `base` says otherwise."""
    id = words.get("draft", DRAFT)
    base = words.get("base") or newest(world, id)
    value = {
        "apiVersion": "pipeline.ameide.io/v1",
        "kind": "DraftPatch",
        "draft": id,
        "base_commit": base,
        "summary": words.get("summary", "Write files"),
        "changes": [{"op": "write", "path": p, "content": c} for p, c in words["files"].items()],
    }
    text = render_document(value).decode()
    path = words.get("at", patch_path(id, words.get("number", "0009")))
    files[path] = (MODE_FILE, _replaced(text, words.get("body", {})).encode())


@change
def promotion(world: AttackWorld, files: Files, words: Any) -> None:
    """A promotion as `promote request` would propose it, with `body` replaced in it.

    `commit` asks for a source commit, `branch` for that of a branch, `bare` leaves the pins out,
    `digest` and `tree` pin others, `like` says which environment's request it copies.
    """
    id, environment = words.get("draft", DRAFT), words["to"]
    if "like" in words:
        text = files[promotion_path(id, words["like"])][1].decode()
        text = _replaced(text, {f"environment: {words['like']}": f"environment: {environment}"})
    elif words.get("bare"):
        release = {
            "source_commit": words.get("commit") or _commit_of(world, id, words.get("branch"))
        }
        value = {
            "apiVersion": "pipeline.ameide.io/v1",
            "kind": "Promotion",
            "draft": id,
            "environment": environment,
            "release": release | ({"digest": words["digest"]} if "digest" in words else {}),
            **({"overlay_tree": words["tree"]} if "tree" in words else {}),
            "reason": "Peak season",
        }
        text = render_document(value).decode()
    else:
        proposal = world.story.engine.propose_promotion(
            id, environment, source_commit=words.get("commit"), reason="Peak season"
        )
        value = proposal.promotion.model_dump(mode="json", by_alias=True, exclude_none=True)
        text = render_document(value).decode()
    for field, name in (("digest", "digest"), ("overlay_tree", "tree")):
        if name in words:
            text = re.sub(rf"(?m)^( *){field}: .*$", rf"\1{field}: {words[name]}", text)
            assert words[name] in text
    text = _replaced(text, words.get("body", {}))
    files[words.get("at", promotion_path(id, environment))] = (MODE_FILE, text.encode())


@change
def edit(world: AttackWorld, files: Files, words: Any) -> None:
    """Replace texts in a file; each must be in it."""
    path = words["path"]
    mode, content = files[path]
    pairs = {old: new for old, new in words.items() if old != "path"}
    files[path] = (mode, _replaced(content.decode(), pairs).encode())


@change
def copy(world: AttackWorld, files: Files, words: Any) -> None:
    """A copy of a file, `path` to `to`, with texts replaced in it."""
    pairs = {old: new for old, new in words.items() if old not in ("path", "to")}
    files[words["to"]] = (MODE_FILE, _replaced(files[words["path"]][1].decode(), pairs).encode())


@change
def write(world: AttackWorld, files: Files, words: Any) -> None:
    """A whole file."""
    content = (
        (world.folder / words["file"]).read_bytes() if "file" in words else words["text"].encode()
    )
    files[words["path"]] = (int(words.get("mode", MODE_FILE)), content)


@change
def delete(world: AttackWorld, files: Files, words: Any) -> None:
    """Delete a file, or all files below a folder."""
    gone = [path for path in files if path == words or path.startswith(f"{words}/")]
    assert gone, f"{words} is not there to delete"
    for path in gone:
        del files[path]


@change
def link(world: AttackWorld, files: Files, words: Any) -> None:
    """A symbolic link."""
    files[words["path"]] = (MODE_LINK, words["to"].encode())


@change
def mode(world: AttackWorld, files: Files, words: Any) -> None:
    """Set the mode of existing files and keep their bytes."""
    for path, told in words.items():
        files[path] = (int(told), files[path][1])


def _commit_of(world: AttackWorld, id: str, branch: str | None) -> str:
    """The head of a branch of the code's repository, or the newest commit of the draft."""
    if branch is None:
        return newest(world, id)
    view = world.story.forge.read_repo(world.story.engine.status(id).target_repo)
    assert view is not None
    return view.branches[branch]


def newest(world: AttackWorld, id: str) -> str:
    """The draft's newest commit, to ask for or to patch: the branch's, or main's once merged."""
    status = world.story.engine.status(id)
    assert status.pull_request is not None
    pull = world.story.forge.read_pull(status.target_repo, status.pull_request.number)
    return status.head if pull.state is PullState.OPEN else world.main(status.target_repo)


@change
def python(world: AttackWorld, files: Files, words: Any) -> None:
    """Call a function `NAME(world, files)` of the folder's own `attack.py`."""
    getattr(load_attack(world.folder), words)(world, files)


def load_attack(folder: Path) -> ModuleType:
    """The module `attack.py` of an attack's folder."""
    name = f"attack_{folder.parent.name}_{folder.name}".replace("-", "_")
    spec = importlib.util.spec_from_file_location(name, folder / "attack.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _replaced(text: str, pairs: dict[str, str]) -> str:
    for old, new in pairs.items():
        assert old in text, f"{old!r} is not in {text!r}"
        text = text.replace(old, new)
    return text

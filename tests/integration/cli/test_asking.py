"""Drafts, patches and promotions by the command line, in a checkout or as pull requests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.documents import parse_document
from pipeline.forges.local.forge import LocalForge
from tests.support.command_line import call, copy_world
from tests.support.samples import DRAFT
from tests.support.story_by_commands import AGENT, CREATE, MANAGER, SUBMIT, tell

FOLDER = f"tenants/{DRAFT.replace('/', '/drafts/')}"


pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def scaffolded(tmp_path: Path) -> Path:
    return tell(tmp_path / "world", until="write patches")


def branches(control: Path) -> dict[str, str]:
    forge = LocalForge(control.parent / "forge", "ameide")
    view = forge.read_repo("control")
    forge.close()
    assert view is not None
    return dict(view.branches)


def files_below(control: Path) -> dict[str, bytes]:
    return {
        path.relative_to(control).as_posix(): path.read_bytes()
        for path in control.rglob("*")
        if path.is_file() and ".git" not in path.parts
    }


# -- drafts ------------------------------------------------------------------------------


def test_a_draft_is_written_into_the_checkout(fresh: Path) -> None:
    ran = call(fresh, *CREATE)
    assert ran.exit_code == 0
    path = f"{FOLDER}/draft.yaml"
    assert f"  written  {path}\n" in ran.out
    content = (fresh / path).read_bytes()
    assert content.startswith(
        b"# yaml-language-server: $schema=../../../../schemas/draft.schema.json\n"
    )
    assert call(fresh, "validate", "--worktree").exit_code == 0
    assert (fresh / path).stat().st_mode & 0o777 == 0o644
    assert "unchanged" in call(fresh, *CREATE).out
    other = call(fresh, *CREATE, "--entity", "route")
    assert other.exit_code == 2
    assert "says something else" in other.err
    assert (fresh / path).read_bytes() == content
    assert call(fresh, *CREATE, "--entity", "route", "--replace").exit_code == 0
    assert (fresh / path).read_bytes() != content


def test_a_draft_is_submitted_once_and_touches_no_work_tree(fresh: Path) -> None:
    before = files_below(fresh)
    first = call(fresh, *CREATE, *SUBMIT, "--format", "json")
    assert first.exit_code == 0
    document = first.document
    assert (document["outcome"], document["pull_request"]) == ("submitted", "control#1")
    made = [b for b in branches(fresh) if b.startswith("request/acme-order-router-")]
    assert len(made) == 1
    assert call(fresh, *CREATE, *SUBMIT, "--format", "json").out == first.out
    assert files_below(fresh) == before
    shown = call(fresh, "review", "show", "control#1", "--format", "json").document
    assert (shown["author"], shown["author_id"], shown["head_branch"]) == (AGENT, 1901, made[0])
    merged = call(fresh, "review", "approve", "control#1", "--as", "acme-engineer-1", "--merge")
    assert merged.exit_code == 0
    again = call(fresh, *CREATE, *SUBMIT, "--format", "json").document
    assert (again["outcome"], again["pull_request"]) == ("on-main", None)
    other = call(fresh, *CREATE, "--entity", "route", *SUBMIT)
    assert other.exit_code == 2
    assert "there is a draft `acme/order-router` already" in other.err


def test_the_same_request_is_the_same_commit(fresh_world: Path, tmp_path: Path) -> None:
    heads = []
    for name in ("one", "two"):
        control = copy_world(fresh_world, tmp_path / name)
        assert call(control, *CREATE, *SUBMIT).exit_code == 0
        heads.append(branches(control))
    assert heads[0] == heads[1]


def test_a_number_stands_for_an_account(fresh: Path) -> None:
    assert call(fresh, *CREATE, "--submit", "--as", "1901").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--submit", "--as", "contoso-agent[bot]"), 1, "`contoso-agent[bot]` may not ask for"),
        (("--submit", "--as", "primitive-pipeline"), 1, "carries requests out and makes none"),
        (("--submit", "--as", "nobody"), 2, "knows no account `nobody`"),
        (("--submit",), 2, "--submit needs --as"),
        (("--as", AGENT), 2, "--as goes with --submit"),
        (("--submit", "--as", AGENT, "--replace"), 2, "--replace is about the checkout"),
        (("--param", "colour"), 2, "is not NAME=VALUE"),
        (("--param", "=x"), 2, "is not NAME=VALUE"),
        (("--param", "entities=[1"), 2, "must be a JSON array"),
        (("--param", "colour=blue"), 1, "error[draft-parameters]"),
        (("--param", "database_plan=gigantic"), 1, "error[draft-parameters]"),
        (("--param", "owner=contoso-engineers"), 1, "error["),
        (("--design-ref", "../../x"), 1, "error["),
        (("--design-ref", "process-definition/contoso@1"), 1, "error["),
        (("--template", "nothing"), 2, "there is no template `nothing`"),
        (("--template", "domain@9.9.9"), 1, "error[template-unknown]"),
        (("--origin", "stranger"), 2, "is not one of"),
        (("--description", "two\nlines"), 1, "error["),
        (("--description", "right \u202e left"), 2, "U+202E"),
        (("--description", ""), 1, "error[draft-parameters]"),
        (("--risk-tier", "LOW"), 1, "error["),
    ],
)
def test_refused_drafts_write_nothing(
    fresh: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    before, heads = files_below(fresh), branches(fresh)
    ran = call(fresh, *CREATE, *arguments)
    assert ran.exit_code == code, ran
    assert said in ran.err
    assert ran.out == ""
    assert (files_below(fresh), branches(fresh)) == (before, heads)


@pytest.mark.parametrize(
    "draft",
    [
        "acme", "acme/", "/order", "acme/order/router", "ACME/order", "acme/../contoso",
        "../x/y", "acme/-x", "acme/x--y", "acme/x_y", "acme/é", "acme/x\n", "", "acme/.", "a/b.git",
    ],
)  # fmt: skip
def test_an_invalid_id_is_refused(fresh_world: Path, draft: str) -> None:
    options = ("--template", "domain", "--origin", "agent")
    for arguments in (
        ("draft", "create", *options, "--", draft),
        ("draft", "status", "--", draft),
        ("draft", "files", "--", draft),
        ("draft", "update", "--summary", "x", "--delete", "a", "--", draft),
        ("promote", "request", "--env", "dev", "--reason", "x", "--", draft),
        ("why", "--env", "dev", "--", draft),
        ("audit", "log", "--", draft),
        ("status", "--", draft),
    ):
        ran = call(fresh_world, *arguments)
        assert ran.exit_code == 2, (arguments, ran)
        assert "is not a draft id" in ran.err


def test_a_missing_draft_is_reported(fresh_world: Path) -> None:
    for arguments in (
        ("draft", "status", "acme/nothing"),
        ("draft", "files", "acme/nothing"),
        ("draft", "update", "acme/nothing", "--summary", "x", "--delete", "a"),
        ("promote", "request", "acme/nothing", "--env", "dev", "--reason", "x"),
        ("why", "acme/nothing", "--env", "dev"),
        ("audit", "log", "acme/nothing"),
        ("draft", "create", "nobody/x", "--template", "domain", "--origin", "tenant"),
        ("run", "--tenant", "nobody"),
        ("plan", "--tenant", "../acme"),
    ):
        ran = call(fresh_world, *arguments)
        assert ran.exit_code == 2, (arguments, ran)
        assert ran.err.startswith("error[usage]: ")


def test_a_link_out_of_the_checkout_is_not_followed(fresh: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (fresh / FOLDER).parent.mkdir(exist_ok=True)
    (fresh / FOLDER).symlink_to(outside)
    ran = call(fresh, *CREATE)
    assert ran.exit_code == 2
    assert "through a link" in ran.err
    assert list(outside.iterdir()) == []


# -- files and patches -------------------------------------------------------------------


def test_files_are_listed_printed_and_written(scaffolded: Path, tmp_path: Path) -> None:
    listed = call(scaffolded, "draft", "files", DRAFT)
    assert listed.exit_code == 0 and "  README.md\n" in listed.out
    one = call(scaffolded, "draft", "files", DRAFT, "--path", "README.md")
    assert one.out.startswith("# order-router")
    document = call(scaffolded, "draft", "files", DRAFT, "--format", "json").document
    files = document["files"]
    assert isinstance(files, list)
    by_path = {f["path"]: f["content"] for f in files}
    assert by_path["README.md"] == one.out
    output = tmp_path / "files"
    assert call(scaffolded, "draft", "files", DRAFT, "--output", str(output)).exit_code == 0
    written = {p.relative_to(output).as_posix() for p in output.rglob("*") if p.is_file()}
    assert written == set(by_path)
    again = call(scaffolded, "draft", "files", DRAFT, "--output", str(output))
    assert again.exit_code == 2 and "is not empty" in again.err
    for path in ("nothing.py", "../README.md", "/etc/passwd", ""):
        ran = call(scaffolded, "draft", "files", DRAFT, "--path", path)
        assert ran.exit_code == 2 and "has no file" in ran.err


def test_files_that_lead_out_of_a_folder_are_not_written(
    scaffolded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline import api

    hostile = api.DraftFiles(DRAFT, "0" * 40, {"../outside": (0o100644, b"x")})
    monkeypatch.setattr(api, "get_primitive_draft_files", lambda *_, **__: hostile)
    ran = call(scaffolded, "draft", "files", DRAFT, "--output", str(tmp_path / "files"))
    assert ran.exit_code == 2
    assert not (tmp_path / "outside").exists()
    link = api.DraftFiles(DRAFT, "0" * 40, {"link": (0o120000, b"/etc/passwd")})
    monkeypatch.setattr(api, "get_primitive_draft_files", lambda *_, **__: link)
    assert call(scaffolded, "draft", "files", DRAFT, "--output", str(tmp_path / "x")).exit_code == 2


def update(control: Path, *arguments: str) -> tuple[int, dict[str, object]]:
    ran = call(control, "draft", "update", DRAFT, *arguments, "--format", "json")
    return ran.exit_code, ran.document


def test_patches_get_the_next_number_and_keep_it(scaffolded: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.py"
    new.write_text("X = 1\n")
    write = ("--write", f"src/new.py={new}")
    code, first = update(scaffolded, "--summary", "One", *write, *SUBMIT)
    assert (code, first["path"]) == (0, f"{FOLDER}/patches/0001.yaml")
    assert update(scaffolded, "--summary", "One", *write, *SUBMIT)[1] == first
    _, second = update(scaffolded, "--summary", "Two", *write, *SUBMIT)
    assert second["path"] == f"{FOLDER}/patches/0002.yaml"
    assert second["pull_request"] != first["pull_request"]
    pull = str(first["pull_request"])
    call(scaffolded, "review", "approve", pull, "--as", "acme-engineer-1", "--merge")
    _, merged = update(scaffolded, "--summary", "One", *write, *SUBMIT)
    assert (merged["outcome"], merged["path"]) == ("on-main", first["path"])
    _, third = update(scaffolded, "--summary", "Three", *write)
    assert (third["outcome"], third["path"]) == ("written", f"{FOLDER}/patches/0003.yaml")
    assert update(scaffolded, "--summary", "Three", *write)[1]["outcome"] == "unchanged"
    assert (
        update(scaffolded, "--summary", "Four", *write)[1]["path"] == f"{FOLDER}/patches/0004.yaml"
    )


def test_a_patch_carries_bytes_and_modes(scaffolded: Path, tmp_path: Path) -> None:
    script, picture = tmp_path / "run.sh", tmp_path / "picture.png"
    script.write_bytes(b"#!/bin/sh\n")
    script.chmod(0o755)
    picture.write_bytes(b"\x89PNG\xff")
    _, document = update(
        scaffolded,
        *("--summary", "Bytes", "--write", f"run.sh={script}", "--write", f"a.png={picture}"),
        *("--delete", "README.md"),
    )
    parsed = parse_document("x", str(document["content"]).encode())
    assert isinstance(parsed.value, dict)
    changes = parsed.value["changes"]
    assert changes == [
        {"op": "write", "path": "run.sh", "content": "#!/bin/sh\n", "executable": True},
        {"op": "write", "path": "a.png", "content_base64": "iVBOR/8="},
        {"op": "delete", "path": "README.md"},
    ]


def test_changes_out_of_a_file(scaffolded: Path, tmp_path: Path) -> None:
    source = tmp_path / "changes.yaml"
    source.write_text("changes:\n  - {op: replace, path: README.md, old: order-router, new: x}\n")
    code, document = update(scaffolded, "--summary", "From", "--from", str(source))
    assert code == 0 and "op: replace" in str(document["content"])
    for text, said in (
        ("changes: [{op: explode, path: x}]\n", "holds no list of changes"),
        ("nothing: 1\n", "holds no list of changes"),
        ("changes: &a []\n", "is refused"),
    ):
        source.write_text(text)
        code, document = update(scaffolded, "--summary", "From", "--from", str(source))
        assert code == 1 and said in str(document["message"])
        assert document["findings"]
    code, document = update(scaffolded, "--summary", "From", "--from", str(tmp_path / "nothing"))
    assert code == 2 and "cannot be read" in str(document["message"])


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), 2),
        (("--write", "x"), 2),
        (("--write", "x=/no/such/file"), 2),
        (("--write", "=/etc/hostname"), 2),
        (("--write", "../x=/etc/hostname"), 1),
        (("--delete", "/etc/passwd"), 1),
        (("--delete", ".git/config"), 1),
        (("--delete", "a", "--delete", "A"), 1),
        (("--delete", "a", "--base", "HEAD"), 1),
        (("--delete", "a\x1bb"), 2),
    ],
)
def test_refused_patches_write_nothing(
    scaffolded: Path, arguments: tuple[str, ...], code: int
) -> None:
    before, heads = files_below(scaffolded), branches(scaffolded)
    ran = call(scaffolded, "draft", "update", DRAFT, "--summary", "x", *arguments)
    assert ran.exit_code == code, ran
    assert (files_below(scaffolded), branches(scaffolded)) == (before, heads)


# -- promotions --------------------------------------------------------------------------


def test_a_promotion_that_can_never_be_allowed_is_refused(scaffolded: Path) -> None:
    before = files_below(scaffolded)
    request = ("promote", "request", DRAFT, "--env", "prod", "--reason", "Peak season")
    ran = call(scaffolded, *request)
    assert ran.exit_code == 1
    assert "environment-order" in ran.out and "nothing was written" in ran.out
    document = call(scaffolded, *request, "--format", "json").document
    assert (document["kind"], document["verdict"]) == ("Decision", "refused")
    assert files_below(scaffolded) == before


def test_a_promotion_to_dev_by_source_alone(scaffolded: Path) -> None:
    ran = call(scaffolded, "promote", "request", DRAFT, "--env", "dev", "--reason", "Try it")
    assert ran.exit_code == 0
    assert ran.out.startswith("✓ dev would run the build of ")
    content = (scaffolded / f"{FOLDER}/promotions/dev.yaml").read_text()
    assert "source_commit: " in content and "digest" not in content
    assert "overlay_tree" not in content
    for commit in ("no-such", "0" * 40, "--upload-pack=x", "main:README.md"):
        ran = call(
            scaffolded,
            *("promote", "request", DRAFT, "--env", "dev", "--reason", "x", f"--commit={commit}"),
        )
        assert ran.exit_code == 2, ran
        assert "names no commit" in ran.err


def test_an_account_that_may_not_merge_is_refused(scaffolded: Path) -> None:
    assert call(
        scaffolded, *("promote", "request", DRAFT, "--env", "dev", "--reason", "x"), *SUBMIT
    )
    listed = call(scaffolded, "review", "list", "control", "--format", "json").document
    items = listed["items"]
    assert isinstance(items, list) and len(items) == 1
    pull = items[0]["name"]
    ran = call(scaffolded, "review", "merge", pull, "--as", "acme-engineer-1")
    assert ran.exit_code == 1 and "0 of 1 approvals by acme-engineers; 1 missing" in ran.err, ran
    for revision in ("0" * 40, items[0]["head"][:3], ""):
        stale = ("approve", pull, "--as", MANAGER, f"--revision={revision}", "--merge")
        assert call(scaffolded, "review", *stale).exit_code == 3
    own = call(scaffolded, "review", "approve", pull, "--as", AGENT)
    assert own.exit_code == 1 and "nobody approves their own" in own.err
    read = ("--revision", items[0]["head"])
    assert call(scaffolded, "review", "approve", pull, "--as", MANAGER, *read).exit_code == 0
    assert call(scaffolded, "review", "dismiss", pull, "--as", MANAGER).exit_code == 0
    assert call(scaffolded, "review", "merge", pull, "--as", MANAGER).exit_code == 1
    assert call(scaffolded, "review", "approve", pull, "--as", "acme-engineer-1").exit_code == 0
    for account in (AGENT, "primitive-pipeline"):
        ran = call(scaffolded, "review", "merge", pull, "--as", account)
        assert ran.exit_code == 1 and ran.err.startswith("error[forge-refused]"), ran
    assert call(scaffolded, "review", "close", pull, "--as", MANAGER).exit_code == 0
    assert "no open pull requests" in call(scaffolded, "review", "list").out


@pytest.mark.parametrize(
    ("pull", "code"),
    [("control#99", 4), ("nothing#1", 4), ("control", 2), ("../x#1", 2), ("control#x", 2)],
)
def test_a_missing_pull_request_is_reported(fresh_world: Path, pull: str, code: int) -> None:
    for arguments in (("show", pull), ("approve", pull, "--as", MANAGER)):
        assert call(fresh_world, "review", *arguments).exit_code == code


def test_the_umask_does_not_matter(fresh_world: Path, tmp_path: Path) -> None:
    seen = []
    for umask in (0o000, 0o077):
        control = copy_world(fresh_world, tmp_path / str(umask))
        before = os.umask(umask)
        try:
            assert call(control, *CREATE).exit_code == 0
            assert call(control, *CREATE, *SUBMIT).exit_code == 0
        finally:
            os.umask(before)
        written = control / f"{FOLDER}/draft.yaml"
        seen.append((branches(control), written.stat().st_mode, written.read_bytes()))
    assert seen[0] == seen[1]

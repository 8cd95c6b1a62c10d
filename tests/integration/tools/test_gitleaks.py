"""The secret scan with the real gitleaks: files cannot silence it, and it prints no secret."""

from __future__ import annotations

import base64
import gzip
import io
import tarfile
import zipfile

import pytest

from pipeline.tools.gitleaks import SecretHit, run_secret_scan

# Put together here, so that this file holds no credential itself.
SECRET = "AKIA" + "Z7Q4TX2MPLW6RDKE"
LINE = f'key = "{SECRET}"\n'.encode()
RULE = "aws-access-token"


def test_a_credential_is_found_where_it_stands() -> None:
    files = {"src/a.py": b"x = 1\n\n  " + LINE, "b.py": LINE, "clean.py": b"x = 1\n"}
    assert run_secret_scan(files) == (
        SecretHit("b.py", 1, 8, RULE),
        SecretHit("src/a.py", 3, 10, RULE),
    )


def test_clean_files_have_no_hits() -> None:
    assert run_secret_scan({"a.py": b"x = 1\n", "empty": b""}) == ()
    assert run_secret_scan({}) == ()


@pytest.mark.parametrize(
    "extra",
    [
        {".gitleaks.toml": b"[allowlist]\npaths = ['.*']\n"},
        {".gitleaksignore": b"a.py:aws-access-token:1\nscan/a000001.txt:aws-access-token:1\n"},
        {".gitignore": b"*\n"},
        {".gitattributes": b"* binary\n"},
    ],
    ids=lambda extra: next(iter(extra)),
)
def test_a_file_of_the_tenant_silences_nothing(extra: dict[str, bytes]) -> None:
    assert run_secret_scan({"a.py": LINE, **extra}) == (SecretHit("a.py", 1, 8, RULE),)


def test_an_allow_comment_silences_nothing() -> None:
    for comment in (b"  # gitleaks:allow\n", b"  // gitleaks:allow betterleaks:allow\n"):
        assert run_secret_scan({"a.py": LINE.rstrip() + comment}) != ()


@pytest.mark.parametrize(
    "path", ["gitleaks.toml", "package-lock.json", "node_modules/x/a.min.js", "a.png", "go.sum"]
)
def test_a_file_name_that_scanners_skip_is_scanned(path: str) -> None:
    assert run_secret_scan({path: LINE}) == (SecretHit(path, 1, 8, RULE),)


@pytest.mark.parametrize(
    "begin",
    [
        b"\x7fELF\x02\x01\x01\n",
        b"PK\x03\x04\n",
        b"%PDF-1.7\n",
        b"\x89PNG\r\n\x1a\n",
        b"\x1f\x8b\x08\n",
    ],
    ids=["elf", "zip", "pdf", "png", "gzip"],
)
def test_a_file_that_looks_binary_is_scanned(begin: bytes) -> None:
    hits = run_secret_scan({"a": begin + LINE})
    assert [(hit.path, hit.rule) for hit in hits] == [("a", RULE)]


@pytest.mark.parametrize("encoding", ["utf-16", "base64"])
def test_another_encoding_is_scanned(encoding: str) -> None:
    text = LINE.decode()
    content = base64.b64encode(LINE) if encoding == "base64" else text.encode(encoding)
    assert [hit.rule for hit in run_secret_scan({"a": content})] == [RULE]


def archives() -> dict[str, bytes]:
    zipped, tarred = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner.py", LINE)
    with tarfile.open(fileobj=tarred, mode="w") as tar:
        member = tarfile.TarInfo("inner.py")
        member.size = len(LINE)
        tar.addfile(member, io.BytesIO(LINE))
    return {
        "zip": zipped.getvalue(),
        "tar": tarred.getvalue(),
        "tar.gz": gzip.compress(tarred.getvalue()),
        "gz": gzip.compress(LINE),
    }


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "gz"])
def test_archives_are_opened_whatever_they_are_called(kind: str) -> None:
    hits = run_secret_scan({"notes.txt": archives()[kind]})
    assert {(hit.path, hit.rule) for hit in hits} == {("notes.txt", RULE)}


def test_rules_about_file_names_still_work() -> None:
    secret = b"apiVersion: v1\nkind: Secret\ndata:\n  password: c3VwZXJzZWNyZXRwYXNzd29yZA==\n"
    rules = {hit.rule for hit in run_secret_scan({"s.yaml": secret, "a.p12": b"\x30\x82"})}
    assert {"kubernetes-secret-yaml", "pkcs12-file"} <= rules


def test_no_hit_holds_the_secret() -> None:
    assert SECRET not in repr(run_secret_scan({"a.py": LINE}))

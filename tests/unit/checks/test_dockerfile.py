"""The base images of a Dockerfile: by digest, or by a name that nobody can move."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.checks.dockerfile import scan_dockerfile

DIGEST = "sha256:" + "ab" * 32
PINNED = f"registry.example.com/python@{DIGEST}"
TEMPLATES = Path(__file__).resolve().parents[3] / "pipeline" / "templates"


def scan(text: str) -> list[str]:
    return scan_dockerfile(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        "FROM scratch\nCOPY src /src\n",
        f"FROM {PINNED}\n",
        f"FROM --platform=linux/amd64 {PINNED} AS build\nFROM BUILD\nCOPY --from=build /a /b\n",
        "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\n",
        f"ARG BASE_IMAGE={PINNED}\nFROM $BASE_IMAGE\nCOPY --link --from=0 /a /b\n",
        f"FROM scratch\nCOPY --from={PINNED} /a /b\n",
        f"FROM scratch\nRUN --mount=type=bind,from={PINNED},target=/x --mount=type=cache,id=c x\n",
        f"FROM scratch\nADD --checksum={DIGEST} https://example.com/a.tar /a\n",
        "FROM scratch\nADD a.tar /a\n",
        'FROM scratch\nRUN echo "FROM python" && \\\n  # FROM alpine\n\n  echo FROM\n',
        "# check=skip=all\nfrom scratch\nrun x\r\n",
        "FROM scratch\nENV PATH=/x \\\n",
    ],
)
def test_an_immutable_base_image_passes(text: str) -> None:
    assert scan(text) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("FROM python:3.12\n", "1:1: dockerfile-image `python:3.12`"),
        ("FROM python@sha256:abc\n", "1:1: dockerfile-image"),
        ("ARG TAG=x\nFROM python:${TAG}\n", "2:1: dockerfile-image"),
        ("FROM ${BASE_IMAGE:-python}\n", "1:1: dockerfile-image"),
        ("ARG BASE_IMAGE=python:3\nFROM $BASE_IMAGE\n", "1:1: dockerfile-image `python:3`"),
        ('ARG "BASE_IMAGE=python:3"\nFROM $BASE_IMAGE\n', "1:1: dockerfile-image"),
        ("FROM later\nFROM scratch AS later\n", "1:1: dockerfile-image"),
        ("FROM scratch\nFROM 0\n", "2:1: dockerfile-image `0`"),
        ("FROM scratch\nCOPY --from=1 /a /b\n", "2:1: dockerfile-image `1`"),
        ("FROM scratch\nCOPY --from=alpine /a /b\n", "2:1: dockerfile-image `alpine`"),
        ("FROM scratch\nCOPY --chown=1 --from=alpine /a /b\n", "2:1: dockerfile-image"),
        ("FROM scratch\nRUN --mount=type=bind,FROM=alpine,target=/x x\n", "2:1: dockerfile-image"),
        ("FROM scratch AS st\nCOPY --from=st\\\nage /a /b\n", "2:1: dockerfile-image `stage`"),
        ("FROM \\\n# scratch\npython\n", "1:1: dockerfile-image `python`"),
        ("FROM\n", "1:1: dockerfile-image"),
        (
            "ARG BASE_IMAGE\nFROM $BASE_IMAGE\nENV BASE_IMAGE=x\nCOPY --from=$BASE_IMAGE /a /b\n",
            "4:1: dockerfile-image `$BASE_IMAGE`",
        ),
        ("FROM scratch\nRUN --mount=from=${BASE_IMAGE} x\n", "2:1: dockerfile-image"),
        ('FROM scratch\nCOPY --fr"om"=alpine /a /b\n', "2:1: dockerfile-option"),
        ("FROM scratch\nRUN --mo\\unt=from=alpine x\n", "2:1: dockerfile-option"),
        ("# syntax=docker/dockerfile:1\nFROM scratch\n", "1:1: dockerfile-directive `syntax`"),
        ("//  SYNTAX = evil\nFROM scratch\n", "1:1: dockerfile-directive"),
        ("# escape=`\nFROM scratch\n", "1:1: dockerfile-directive `escape`"),
        ("FROM scratch\nRUN <<EOF\nFROM python\nEOF\n", "2:1: dockerfile-heredoc"),
        ("FROM scratch\nCOPY <<a /a\nx\na\n", "2:1: dockerfile-heredoc"),
        ("FROM scratch\nADD https://example.com/a /a\n", "2:1: dockerfile-fetch"),
        ('FROM scratch\nADD ["git@example.com:a/b.git", "/a"]\n', "2:1: dockerfile-fetch"),
        ("FROM scratch\nARG WHERE\nADD $WHERE /a\n", "3:1: dockerfile-fetch"),
        ("FROM scratch\nADD --checksum=sha256:12 https://example.com/a /a\n", "2:1: dockerfile-f"),
        (
            "FROM scratch\nONBUILD COPY --from=alpine /a /b\n",
            "2:1: dockerfile-instruction `ONBUILD`",
        ),
        ('{"syntax": "evil"}\n', "1:1: dockerfile-instruction"),
        ("FROM scratch\nCOPY\u00a0--from=alpine /a /b\n", "2:1: dockerfile-instruction"),
        ("FROM scratch\nRUN\u2028x\n", "2:1: dockerfile-text"),
        ("FROM scratch\rFROM alpine\n", "1:1: dockerfile-text"),
    ],
)
def test_a_base_image_that_may_change_is_found(text: str, found: str) -> None:
    assert any(line.startswith(f"Dockerfile:{found}") for line in scan(text)), scan(text)


def test_a_binary_dockerfile_is_found() -> None:
    assert scan_dockerfile(b"FROM scratch\n\xff") == [
        "Dockerfile:1:1: dockerfile-text the file is not UTF-8"
    ]


@pytest.mark.parametrize("template", ["domain", "process", "agent", "ui"])
def test_golden_templates_build_on_immutable_images(template: str) -> None:
    assert scan_dockerfile((TEMPLATES / template / "skeleton" / "Dockerfile").read_bytes()) == []


@given(st.text(st.sampled_from("FROMCOPYRUNADD-=,\\\n\t #/<\"'$@: abfrom0\r"), max_size=80))
def test_any_text_is_judged_without_an_error(text: str) -> None:
    for line in scan(text):
        assert line.startswith("Dockerfile:")


@given(st.lists(st.booleans(), min_size=12, max_size=12))
def test_wherever_a_line_is_broken_an_image_is_seen(breaks: list[bool]) -> None:
    text = "FROM alpine "
    broken = "".join(c + ("\\\n" if cut else "") for c, cut in zip(text, breaks, strict=True))
    found = scan(f"{broken}\n")
    assert "Dockerfile:1:1: dockerfile-image `alpine` is not named by its digest" in found

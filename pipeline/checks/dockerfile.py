"""Checks that a Dockerfile pins its inputs: no later change elsewhere can change the image.

An image is the platform's base (`BASE_IMAGE`), an earlier stage, `scratch`, or named by digest; what
`ADD` fetches has a checksum. Syntax that only BuildKit can read right is refused, so that nothing is
an argument here and an instruction there: another language or escape character, here-documents,
quoted options. What `RUN` fetches is not checked.

Source: Docker, "Dockerfile reference".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field

from pipeline.diagnostics import Rule, Subject, register

DOCKERFILE = "Dockerfile"
VERSION = "1"  # of these rules, in reports
_MAX_BYTES = 256 * 1024
_KNOWN = frozenset(
    "ADD ARG CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL MAINTAINER RUN SHELL STOPSIGNAL"
    " USER VOLUME WORKDIR".split()
)
_DIRECTIVE = re.compile(r"\s*(?:#|//)\s*(syntax|escape)\s*=", re.IGNORECASE)
_CONTINUES = re.compile(r"(?:[^\\]|\A)\\[ \t]*\Z")
_DIGEST = re.compile(r"[^\s$@]+@sha256:[0-9a-f]{64}")
_DIGITS = 6  # of a stage's number; a file of this size cannot have more
_BASE = frozenset({"$BASE_IMAGE", "${BASE_IMAGE}"})
_CHECKSUM = re.compile(r"--checksum=sha256:[0-9a-f]{64}")


def _dockerfile(id: str, summary: str, why: str, fix: str, fails: str) -> Rule:
    passes = "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nCOPY src /app\n"
    return register(Rule(id, summary, why, fix, Subject.DOCKERFILE, fails, passes))


DOCKERFILE_TEXT = _dockerfile(
    "dockerfile-text",
    "A Dockerfile is UTF-8 text of at most 256 KiB, with no character that reads as another.",
    "what a reviewer reads must be what the builder reads",
    "save it as UTF-8, with plain spaces",
    "FROM scratch\nCOPY\u00a0a b\n",
)
DOCKERFILE_DIRECTIVE = _dockerfile(
    "dockerfile-directive",
    "A Dockerfile has no directive `syntax` or `escape`.",
    "a directive changes how the rest of the file is read",
    "take the line out",
    "# syntax=docker/dockerfile:1\nFROM scratch\n",
)
DOCKERFILE_INSTRUCTION = _dockerfile(
    "dockerfile-instruction",
    "A Dockerfile has only known instructions.",
    "what is not known here may fetch or run anything",
    "use a known instruction; `ONBUILD` is none of them",
    "FROM scratch\nONBUILD COPY a b\n",
)
DOCKERFILE_OPTION = _dockerfile(
    "dockerfile-option",
    "Options of instructions are written without quotes and escapes.",
    "a quoted option is read differently by different builders",
    "write the option plainly",
    'FROM scratch\nCOPY --fr"om"=alpine /a /b\n',
)
DOCKERFILE_HEREDOC = _dockerfile(
    "dockerfile-heredoc",
    "A Dockerfile has no here-documents.",
    "its lines would be read as instructions by one reader and as content by another",
    "put the content into a file and copy it",
    "FROM scratch\nRUN <<END\nx\nEND\n",
)
DOCKERFILE_IMAGE = _dockerfile(
    "dockerfile-image",
    "Every image that a Dockerfile names is the platform's base, a stage, `scratch` or a digest.",
    "a tag may stand for another image tomorrow",
    "name the image by digest, `IMAGE@sha256:…`, or use `FROM $BASE_IMAGE`",
    "FROM python:3.12\n",
)
DOCKERFILE_FETCH = _dockerfile(
    "dockerfile-fetch",
    "What `ADD` fetches from an address has a checksum.",
    "what lies at an address may be something else tomorrow",
    "add `--checksum=sha256:…`, or keep the file in the repository",
    "FROM scratch\nADD https://example.com/a.tar /a.tar\n",
)


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: its line, its keyword in capitals, its options, and the rest."""

    line: int
    word: str
    options: tuple[str, ...]
    rest: str


def scan_dockerfile(content: bytes) -> list[str]:
    """One line for each finding, in the order of the file."""
    return [f"{DOCKERFILE}:{line}:1: {code} {why}" for line, code, why in sorted(_scan(content))]


def _scan(content: bytes) -> Iterator[tuple[int, str, str]]:
    if len(content) > _MAX_BYTES:
        yield 1, DOCKERFILE_TEXT.id, f"the file is larger than {_MAX_BYTES} bytes"
        return
    try:
        lines = content.decode().split("\n")
    except UnicodeDecodeError:
        yield 1, DOCKERFILE_TEXT.id, "the file is not UTF-8"
        return
    for number, line in enumerate(lines, 1):
        found = _DIRECTIVE.match(line)
        if found:
            yield number, DOCKERFILE_DIRECTIVE.id, f"`{found[1]}` changes how the file is read"
        if any(_reads_as_space_or_nothing(c) for c in line.removesuffix("\r")):
            yield number, DOCKERFILE_TEXT.id, "a character reads as space, or as nothing"
    stages = _Stages()
    for instruction in _instructions(lines):
        yield from _problems(instruction, stages)


def _reads_as_space_or_nothing(character: str) -> bool:
    kind = unicodedata.category(character)
    return kind in {"Cc", "Cf", "Zl", "Zp", "Zs"} and character not in " \t"


def _instructions(lines: list[str]) -> Iterator[Instruction]:
    begun, text = 0, ""
    for number, raw in enumerate([*lines, ""], 1):
        line = raw.removesuffix("\r")
        last = number > len(lines)
        if not last and (line.lstrip().startswith("#") or not line.strip()):
            continue  # also within an instruction
        if not text:
            begun, line = number, line.lstrip()
        continues = _CONTINUES.search(line)
        if continues and not last:
            text += line.rstrip(" \t")[:-1]
            continue
        text += line
        if text.strip():
            yield _instruction(begun, text.strip())
        text = ""


def _instruction(line: int, text: str) -> Instruction:
    word, _, rest = text.replace("\t", " ").partition(" ")
    options = []
    begin = _next_word(rest, 0)
    while rest.startswith("--", begin):
        end = rest.find(" ", begin)
        options.append(rest[begin : end if end >= 0 else None])
        begin = _next_word(rest, end) if end >= 0 else len(rest)
    return Instruction(line, word.upper(), tuple(options), rest[begin:].rstrip())


def _next_word(text: str, begin: int) -> int:
    while begin < len(text) and text[begin].isspace():
        begin += 1
    return begin


@dataclass
class _Stages:
    """The names of the stages so far, and their number."""

    names: set[str] = field(default_factory=set)
    count: int = 0

    def add(self, name: str) -> None:
        if name:
            self.names.add(name.lower())
        self.count += 1

    def know(self, image: str, word: str) -> bool:
        """Whether an image is a stage; only `COPY` may use a number instead of a name."""
        if image.lower() in self.names:
            return True
        is_number = image.isascii() and image.isdecimal() and len(image) <= _DIGITS
        return word == "COPY" and is_number and str(int(image)) == image and int(image) < self.count


def _problems(at: Instruction, stages: _Stages) -> Iterator[tuple[int, str, str]]:
    if at.word not in _KNOWN:
        yield at.line, DOCKERFILE_INSTRUCTION.id, f"`{at.word}` is not an instruction to be used here"
    if any(mark in option for option in at.options for mark in "\"'\\"):
        yield at.line, DOCKERFILE_OPTION.id, "an option is written with quotes or escapes"
    if at.word in {"RUN", "COPY", "ADD"} and "<<" in at.rest:
        yield at.line, DOCKERFILE_HEREDOC.id, "a here-document; put what it holds into a file"
    for image in _images(at):
        # Within a stage the same name may be the stage's own variable.
        given = at.word == "FROM" and image in _BASE
        fixed = given or image == "scratch" or _DIGEST.fullmatch(image)
        if not fixed and not stages.know(image, at.word):
            yield at.line, DOCKERFILE_IMAGE.id, f"`{image}` is not named by its digest"
    if at.word == "ADD" and _is_remote(at.rest):
        if not any(_CHECKSUM.fullmatch(option) for option in at.options):
            yield at.line, DOCKERFILE_FETCH.id, "what `ADD` fetches has no `--checksum=sha256:…`"
    if at.word == "FROM":
        words = at.rest.split()
        stages.add(words[2] if len(words) == 3 and words[1].upper() == "AS" else "")


def _is_remote(sources: str) -> bool:
    """Whether any source is or may be an address, including Git's `user@host:path`."""
    if "://" in sources or "$" in sources:
        return True
    parts = (part for word in sources.split() for part in word.split("/"))
    return any(0 <= part.find("@") < part.rfind(":") - 1 for part in parts)


def _images(at: Instruction) -> Iterator[str]:
    """The images and stages that an instruction names."""
    match at.word:
        case "FROM":
            yield next(iter(at.rest.split()), "")
        case "ARG":
            for word in at.rest.split():
                # Quoted or not, its default is the base image if the platform gives none.
                if "BASE_IMAGE" in word and word != "BASE_IMAGE":
                    yield word.removeprefix("BASE_IMAGE=")
        case "COPY" | "RUN":
            for option in at.options:
                for part in option.removeprefix("--mount=").split(","):
                    key, given, value = part.removeprefix("--").partition("=")
                    if key.lower() == "from" and given:
                        yield value

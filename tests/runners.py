"""How the examples of rules and the folders of `tests/refusals` are run, by what they are about.

A subject without a runner fails its tests: add one here for each new kind of example.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from pipeline.diagnostics import Finding, Rule, Subject
from pipeline.documents import parse_document
from pipeline.snapshot import read_request

# From an example's text to what was found in it.
ExampleRunner = Callable[[str], tuple[Finding, ...]]
# From a folder with an input to what was found in it.
FolderRunner = Callable[[Path], tuple[Finding, ...]]


def bytes_of_example(example: str) -> bytes:
    """The bytes an example stands for: UTF-8, or escapes for raw bytes behind `bytes:`."""
    if not example.startswith("bytes:"):
        return example.encode("utf-8")
    return example.removeprefix("bytes:").encode("utf-8").decode("unicode_escape").encode("latin-1")


def run_document_example(example: str) -> tuple[Finding, ...]:
    """What the strict reader finds."""
    return parse_document("example.yaml", bytes_of_example(example)).findings


def run_request_example(example: str) -> tuple[Finding, ...]:
    """What is wrong with the form of the request whose path the first line, `# file: …`, names."""
    first = example.split("\n", 1)[0]
    assert first.startswith("# file: "), "the first line of an example names its file"
    return read_request(first.removeprefix("# file: ").strip(), example.encode("utf-8"))[1]


def run_document_folder(folder: Path) -> tuple[Finding, ...]:
    """What the strict reader finds in `input.yaml`, or in the raw bytes of `input.bin`."""
    raw = folder / "input.bin"
    path = raw if raw.exists() else folder / "input.yaml"
    return parse_document(path.name, path.read_bytes()).findings


EXAMPLE_RUNNERS: Mapping[Subject, ExampleRunner] = {
    Subject.DOCUMENT: run_document_example,
    Subject.REQUEST: run_request_example,
}

FOLDER_RUNNERS: Mapping[str, FolderRunner] = {
    "document": run_document_folder,
}


def problems_of_rule(rule: Rule, runners: Mapping[Subject, ExampleRunner]) -> tuple[str, ...]:
    """What is wrong with a rule's examples, in words; nothing if each does what it should."""
    runner = runners.get(rule.subject)
    if runner is None:
        return (f"no runner for examples of subject {rule.subject.value!r}",)
    problems = []
    codes = {finding.code for finding in runner(rule.fails)}
    if rule.id not in codes:
        problems.append(f"the failing example gives {sorted(codes)}")
    codes = {finding.code for finding in runner(rule.passes)}
    if codes:
        problems.append(f"the passing example gives {sorted(codes)}")
    return tuple(problems)

"""Every citation in code, schemas, rules, tests and docs resolves: files, sections, modules.

Not read: skeletons of templates and what they share, whose texts are about the primitive that they
become and whose bytes make a template's digest; and test input that is data.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path, PurePosixPath
from types import ModuleType

import grimp
import pytest

from tests.conftest import ROOT

FOLDERS = (
    ".github",
    "bench",
    "docs",
    "environments",
    "pipeline",
    "schemas",
    "service_catalog",
    "tenants",
    "tests",
    "tools",
)
NOT_READ = (
    "pipeline/shared/",
    "pipeline/templates/",
    "tests/golden/",
    "tests/refusals/",
    "tests/attacks/bot/",
    "tests/attacks/engineer/",
    "tests/unit/test_citations.py",  # it holds examples that must fail
)
ENDINGS = (".md", ".py", ".json", ".yaml", ".yml", ".toml", ".txt", ".ts", ".mjs", "Makefile")
# Public documents whose sections may be cited by number.
PUBLIC = re.compile(r"(?:RFC [0-9]+|YAML [0-9.]+[0-9]) §$")
PAGE = re.compile(r"docs/(?:adr/)?[A-Za-z0-9-]+\.md")
CITED_PAGE = re.compile(rf"(?<![\w/])({PAGE.pattern})(?:#([a-z0-9-]+)| §([0-9]+(?:\.[0-9]+)*))?")
CITED_ADR = re.compile(r"\bADR ([0-9]+)\b")
SECTION_SIGN = re.compile(r"§ ?[0-9]")
NOT_HERE = re.compile(r"\b(?:seed|design) §|\b(?:design|limits|house|style)\.md\b|\bissue \"", re.I)
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.MULTILINE | re.DOTALL)
BACKTICKED = re.compile(r"`([^`\n]+)`")
OWN_PATH = re.compile(r"(?:bench|docs|pipeline|requirements|schemas|tests|tools)/[\w./-]*\Z")
BARE_PATH = re.compile(
    r"(?<![\w/.-])((?:bench|docs|pipeline|requirements|schemas|tests|tools)/[\w./-]+"
    r"\.(?:json|md|mod|py|toml|txt|yaml))\b"
)
PYTHON_FILE = re.compile(r"[\w/]+\.py\Z")
MODULE = re.compile(r"((?:bench|pipeline|tests|tools)(?:\.[A-Za-z_]\w*)+)(?:\(\))?\Z")
HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
# Made by a command, and not committed.
MADE = frozenset({"bench/results/latest.json"})
# Files of a primitive or of a tenant's repository, named in stories about one.
OF_PRIMITIVES = re.compile(r"src/|tests/test_(?:routing|part|more)\.py|attack\.py\Z")


def read_texts() -> Iterator[tuple[str, str]]:
    """Path and text of each file that may cite something."""
    files = [path for path in ROOT.iterdir() if path.is_file()]
    for folder in FOLDERS:
        files += (ROOT / folder).rglob("*")
    for path in sorted(files):
        name = path.relative_to(ROOT).as_posix()
        if name.endswith(ENDINGS) and "__pycache__" not in name and path.is_file():
            yield name, path.read_text(encoding="utf-8")


def cited_in(name: str, text: str) -> str:
    """The text in which a file may cite: of a test's code, the docstrings and comments.

    What else stands there are inputs, such as paths of files that a patch writes.
    """
    if not name.startswith("tests/") or not name.endswith(".py"):
        return text
    comments = (
        token.string
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT
    )
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    nodes = (node for node in ast.walk(ast.parse(text)) if isinstance(node, documented))
    return "\n".join((*(ast.get_docstring(node) or "" for node in nodes), *comments))


EVERYTHING = dict(read_texts())
TEXTS = {
    name: cited_in(name, text) for name, text in EVERYTHING.items() if not name.startswith(NOT_READ)
}


@cache
def anchors(page: str) -> frozenset[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = (ROOT / page).read_text(encoding="utf-8")
    names = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(text))
    return frozenset(name.replace(" ", "-") for name in names)


@cache
def sections(page: str) -> frozenset[str]:
    """The numbers that a page's headings begin with."""
    text = (ROOT / page).read_text(encoding="utf-8")
    numbers = (re.match(r"([0-9]+(?:\.[0-9]+)*)\.? ", heading) for heading in HEADING.findall(text))
    return frozenset(found[1] for found in numbers if found)


def pages_problems(text: str, name: str) -> Iterator[str]:
    """Cited pages of docs/, anchors and sections that are not there."""
    for found in CITED_PAGE.finditer(text):
        page, anchor, section = found.groups()
        if not (ROOT / page).is_file():
            yield f"there is no {page}"
        elif anchor and anchor not in anchors(page):
            yield f"{page} has no heading #{anchor}"
        elif section and section not in sections(page):
            yield f"{page} has no section {section}"
    for number in CITED_ADR.findall(text):
        if len([*(ROOT / "docs" / "adr").glob(f"{int(number):04d}-*.md")]) != 1:
            yield f"there is no decision {number}"


def sections_problems(text: str, name: str) -> Iterator[str]:
    """Sections of documents that are neither here nor public, and other papers not here."""
    for found in NOT_HERE.finditer(text):
        yield f"cites `{found[0]}`, which nobody can open"
    for found in SECTION_SIGN.finditer(text):
        before = text[: found.start() + 1]
        if re.search(rf"{PAGE.pattern} §$", before) or PUBLIC.search(before):
            continue
        number = re.match(r"[0-9.]*[0-9]", text[found.start() + 1 :].lstrip())
        if name.startswith("docs/") and number and number[0] in sections(name):
            continue  # of the page itself
        yield f"cites `{text[found.start() - 20 : found.end()]}` of no document"


def links_problems(text: str, name: str) -> Iterator[str]:
    """Links of a page to files or headings that are not there."""
    if not name.endswith(".md"):
        return
    for target in LINK.findall(CODE.sub("", text)):
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        file, _, anchor = target.partition("#")
        path = (ROOT / name).parent / file if file else ROOT / name
        if not path.exists():
            yield f"links to {target}, which is not there"
        elif anchor and anchor not in anchors(path.resolve().relative_to(ROOT).as_posix()):
            yield f"links to {target}, which has no such heading"


def paths_problems(text: str, name: str) -> Iterator[str]:
    """Paths that look like this repository's and are none."""
    below = [ROOT, ROOT / "pipeline", (ROOT / name).parent]
    looked_like = (OWN_PATH, PYTHON_FILE)
    cited = [c for c in BACKTICKED.findall(text) if any(form.match(c) for form in looked_like)]
    for path in dict.fromkeys((*cited, *BARE_PATH.findall(text))):
        if path in MADE or OF_PRIMITIVES.match(path):
            continue
        if not any((folder / path).exists() for folder in below):
            yield f"there is no `{path}`"


def modules_problems(text: str, name: str) -> Iterator[str]:
    """Backticked names of modules, or of what is in them, that are none."""
    for cited in BACKTICKED.findall(text):
        module = MODULE.match(cited)
        if module and not is_there(module[1]):
            yield f"there is no `{cited}`"


@cache
def is_there(dotted: str) -> bool:
    """Whether a dotted name is a module, or an attribute of one (of a class: a field as well)."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        if not is_module(parts[:length]):
            continue
        found: object = import_module(".".join(parts[:length]))
        for part in parts[length:]:
            if part in getattr(found, "__annotations__", {}):
                return True
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return isinstance(found, ModuleType) or length < len(parts)
    return False


def is_module(parts: list[str]) -> bool:
    path = ROOT.joinpath(*parts)
    return path.with_suffix(".py").is_file() or path.is_dir()


Check = Callable[[str, str], Iterator[str]]
CHECKS: tuple[Check, ...] = (
    pages_problems,
    sections_problems,
    links_problems,
    paths_problems,
    modules_problems,
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_every_citation_resolves(check: Check) -> None:
    found = [f"{name}: {problem}" for name, text in TEXTS.items() for problem in check(text, name)]
    assert found == []


BROKEN: Mapping[Check, tuple[str, ...]] = {
    pages_problems: (
        "docs/no-such-page.md",
        "docs/model.md §99",
        "docs/model.md §4.9",
        "docs/rules.md#no-such-rule",
        "docs/adr/0000-none.md",
        "see ADR 99",
    ),
    sections_problems: ("(seed §6)", "Design §7", "(§3)", 'issue "The job"', "limits.md", "478 §2"),
    links_problems: ("[a](no-such-page.md)", "[a](model.md#no-such-heading)"),
    paths_problems: ("`pipeline/no_such_file.py`", "`gate/no_such_file.py`", "`tests/none/`"),
    modules_problems: ("`pipeline.no_such_module`", "`pipeline.names.no_such_name`"),
}
GOOD: Mapping[Check, tuple[str, ...]] = {
    pages_problems: ("docs/model.md §4.1", "docs/rules.md#patch-secret", "see ADR 1"),
    sections_problems: ("docs/model.md §4", "RFC 9110 §10.2.3", "YAML 1.2.2 §10.3.2"),
    links_problems: ("[a](rules.md)", "[a](rules.md#patch-secret)", "[a](https://example.com)"),
    paths_problems: (
        "`pipeline/names.py`",
        "`gate/matters.py`",
        "`tests/unit/`",
        "`test_citations.py`",
    ),
    modules_problems: ("`pipeline.names`", "`pipeline.names.namespace`", "`tests.support`"),
}

PLACES: Mapping[Check, str] = {links_problems: "docs/model.md"}  # else a module


@pytest.mark.parametrize(
    ("check", "text"),
    [(check, text) for check, texts in BROKEN.items() for text in texts],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_a_broken_citation_is_found(check: Check, text: str) -> None:
    assert [*check(text, PLACES.get(check, "tests/unit/test_names.py"))] != []


@pytest.mark.parametrize(
    ("check", "text"),
    [(check, text) for check, texts in GOOD.items() for text in texts],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_a_good_citation_is_taken(check: Check, text: str) -> None:
    assert [*check(text, PLACES.get(check, "tests/unit/test_names.py"))] == []


def test_no_text_cites_documents_outside_the_repository() -> None:
    """Not even what is not read above, but for one file whose bytes are a template's digest."""
    found = {name for name, text in EVERYTHING.items() if NOT_HERE.search(text)}
    own = "tests/unit/test_citations.py"
    assert found - {own} == {"pipeline/shared/sdk-typescript/platform.ts"}


def test_every_kind_of_citing_file_is_read() -> None:
    """So that a folder that moved does not leave the tests above with nothing to look at."""
    assert {"README.md", "docs/model.md", "pipeline/names.py", "pyproject.toml"} <= set(TEXTS)
    assert len(TEXTS) > 400
    assert len({PurePosixPath(name).parts[0] for name in TEXTS}) > len(FOLDERS)
    assert sum("docs/model.md §" in text for text in TEXTS.values()) > 15


def test_every_decision_record_is_listed() -> None:
    listed = (ROOT / "docs" / "adr" / "README.md").read_text(encoding="utf-8")
    pages: list[Path] = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
    for number, page in enumerate(pages, start=1):
        title = page.read_text(encoding="utf-8").partition("\n")[0]
        assert title.startswith(f"# ADR {number}: ")
        assert f"[ADR {number}]({page.name}) | {title.partition(': ')[2]} |" in listed
        assert len(page.read_text(encoding="utf-8").splitlines()) <= 60


def test_the_map_puts_every_folder_above_its_imports() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([0-9]+) \| (.+?) \|", page, re.MULTILINE)
    floors = {name: int(floor) for floor, names in rows for name in BACKTICKED.findall(names)}
    graph = grimp.build_graph("pipeline", exclude_type_checking_imports=True)
    assert set(floors) == {name.partition(".")[2] for name in graph.find_children("pipeline")}
    climbing = []
    for importer in graph.modules - {"pipeline"}:
        for imported in graph.find_modules_directly_imported_by(importer) - {"pipeline"}:
            low, high = imported.split(".")[1], importer.split(".")[1]
            if low != high and floors[low] >= floors[high]:
                climbing.append(f"{importer} imports {imported}")
    assert climbing == []

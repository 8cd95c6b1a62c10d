"""Which versions of a tool are accepted, and where they are looked for."""

import re
from pathlib import Path

import pytest

from tools import gotools

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("v0.6.7\n", (0, 6, 7)),
        ("{Version:kustomize/v5.4.1 GitCommit:abc}", (5, 4, 1)),
        ("v3.22", (3, 22, 0)),
        ("v3.16.2+g13654a5", (3, 16, 2)),
        ("go1.26.8".removeprefix("go"), (1, 26, 8)),
        ("development", None),
        ("version is set by build process", None),
    ],
)
def test_parse_version(text: str, version: gotools.Version | None) -> None:
    assert gotools.parse_version(text) == version


@pytest.mark.parametrize("tool", gotools.TOOLS.values(), ids=lambda tool: tool.name)
def test_the_version_that_we_build_is_accepted(tool: gotools.Tool) -> None:
    pinned = gotools.parse_version(gotools.pinned_version(tool, ROOT / "tools" / "go.mod"))
    assert pinned is not None and tool.at_least <= pinned < tool.below


def test_table_and_go_mod_name_the_same_tools() -> None:
    text = (ROOT / "tools" / "go.mod").read_text(encoding="utf-8")
    [block] = re.findall(r"^tool \((.*?)^\)", text, re.MULTILINE | re.DOTALL)
    assert sorted(block.split()) == sorted(tool.package for tool in gotools.TOOLS.values())


def test_pinned_version_of_an_unknown_module_is_an_error(tmp_path: Path) -> None:
    go_mod = tmp_path / "go.mod"
    go_mod.write_text("module x\n\ngo 1.26.0\n", encoding="utf-8")
    with pytest.raises(gotools.ToolError, match=r"does not require helm\.sh/helm/v3"):
        gotools.pinned_version(gotools.TOOLS["helm"], go_mod)

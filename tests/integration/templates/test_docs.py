"""The documentation of every golden template builds strictly, with its locked packages."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pipeline.templates import LazyTemplates, list_builtin_templates
from pipeline.templating import render_template
from pipeline.templating.samples import sample_values
from tests.support.projects import environment_of

HOSTILE = 'It\'s "quoted": {{ x }} ${{ y }} <b> `id` [link](nowhere.md) # & *'


@pytest.mark.parametrize(
    "description", ["Keeps what was ordered", HOSTILE], ids=["plain", "hostile"]
)
@pytest.mark.parametrize("name", list_builtin_templates())
def test_the_documentation_builds(name: str, description: str, tmp_path: Path) -> None:
    template = LazyTemplates()[name]
    values = {**sample_values(template)[0].values, "description": description}
    files = render_template(template, values)
    for path in ("mkdocs.yml", *(path for path in files if path.startswith("docs/"))):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(files[path].content)
    environment = environment_of(files["requirements-docs.lock"].content)
    done = subprocess.run(
        [environment / "bin" / "mkdocs", "build", "--strict", "--quiet"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "index.html").is_file()


def test_every_documentation_builds_with_the_same_packages() -> None:
    locks = {
        file.content
        for template in LazyTemplates().values()
        for file in template.files
        if file.path == "requirements-docs.lock"
    }
    assert len(locks) == 1

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import UsageFault
from pipeline.sandbox.apparmor import render_profile


def test_the_profile_gives_user_namespaces_to_one_program() -> None:
    assert render_profile(Path("/opt/a b/.venv/bin/bwrap")) == (
        "abi <abi/4.0>,\n"
        "\n"
        'profile primitive-pipeline-bwrap "/opt/a b/.venv/bin/bwrap" flags=(unconfined) {\n'
        "  userns,\n"
        "}\n"
    )


@pytest.mark.parametrize(
    "path", ["/opt/*/bwrap", "/opt/{a,b}/bwrap", '/opt/"/bwrap', "/opt/@{HOME}/bwrap", "bwrap"]
)
def test_a_path_that_apparmor_would_read_as_a_pattern_is_refused(path: str) -> None:
    with pytest.raises(UsageFault, match="pattern"):
        render_profile(Path(path))

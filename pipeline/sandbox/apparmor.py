"""The AppArmor profile for machines that let only known programs make user namespaces. Pure.

Ubuntu from 24.04 on allows user namespaces only for programs whose profile has the rule `userns`.
This profile is for the sandbox's program and confines nothing: bubblewrap builds the confinement,
and the filter of system calls stops programs inside from making further namespaces
(`pipeline.sandbox.calls`).
Source: apparmor.d(5); Ubuntu, "Restricted unprivileged user namespaces".
"""

from __future__ import annotations

import re
from pathlib import Path

from pipeline.errors import UsageFault

PROFILE_NAME = "primitive-pipeline-bwrap"
# In a path, AppArmor reads `*`, `?`, `[]`, `{}`, `^`, `@{}` and backslashes as a pattern.
_PLAIN = re.compile(r"/[A-Za-z0-9/ ._+~-]*\Z")


def render_profile(program: Path) -> str:
    """The profile of a program, for `apparmor_parser`.

    `program` is absolute and free of links, since the kernel compares the file itself. Raises
    UsageFault for a path that AppArmor would read as a pattern.
    """
    if not _PLAIN.match(str(program)):
        raise UsageFault(
            f"AppArmor would read `{program}` as a pattern",
            help="install the pipeline in a folder with a plain name",
        )
    return (
        "abi <abi/4.0>,\n\n"
        f'profile {PROFILE_NAME} "{program}" flags=(unconfined) {{\n'
        "  userns,\n"
        "}\n"
    )

"""What applying a plan needs from its caller: check runners, progress, and test faults.

Below both the reader and the writer, so that neither imports the other for these types.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pipeline.git.objects import Files
from pipeline.models.evidence import CheckReport
from pipeline.plan.effects import Effect, RunChecks

# Called before and after each effect, so that tests can stop, repeat or lose the reply of any.
FaultHook = Callable[[Literal["before", "after"], Effect], None]
RunChecksPort = Callable[[RunChecks, Files], CheckReport]
Progress = Callable[[str], None]


def no_faults(when: Literal["before", "after"], effect: Effect) -> None:
    """The hook of an ordinary run: nothing goes wrong on purpose."""


def silent(line: str) -> None:
    """A progress callback that prints nothing."""

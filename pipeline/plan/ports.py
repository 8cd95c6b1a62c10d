"""What carrying out a plan is handed: who runs checks, who hears of progress, and faults of tests.

Below both the reader and the writer, so that neither needs the other for these types.
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
    """The progress of a caller that wants none."""

"""The one tree of exceptions: what stops a run, and the exit code it ends with.

Findings (`pipeline.diagnostics`) are values and are all shown; an exception stops a run.
Adapters translate foreign exceptions into these with `raise … from`. Exit codes are those of
design §8: 0 clean, 1 findings, 2 usage, 3 stale plan, 4 a tool or service failed, 70 a bug.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from pipeline.diagnostics import Finding


class PipelineError(Exception):
    """Base of every error the pipeline raises on purpose.

    `message` says what went wrong, `help` how to go on; `code` is a stable kebab-case name.
    """

    exit_code: ClassVar[int] = 70
    code: ClassVar[str] = "internal-error"

    def __init__(self, message: str, *, help: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.help = help


class UsageFault(PipelineError):
    """The call itself is wrong: an unknown draft, an option that does not fit (exit 2)."""

    exit_code = 2
    code = "usage"


class Refused(PipelineError):
    """The input was understood and is refused; `findings` say why (exit 1)."""

    exit_code = 1
    code = "refused"

    def __init__(self, message: str, findings: tuple[Finding, ...] = (), *, help: str = "") -> None:
        super().__init__(message, help=help)
        self.findings = findings


class StalePlan(PipelineError):
    """The world moved since the plan was made: a head, a branch, a commit (exit 3).

    `drafts` are those whose effect found it moved, where applying knows them.
    """

    exit_code = 3
    code = "stale-plan"
    drafts: tuple[str, ...] = ()


class CouldNotCheck(PipelineError):
    """A tool or service was missing or failed, so nothing is known; never a pass (exit 4)."""

    exit_code = 4
    code = "could-not-check"


class Unrenderable(CouldNotCheck):
    """A chart or overlay that a tool cannot render: its author's fault, not the tool's.

    The draft that it belongs to is refused by rule `manifest-not-rendered`.
    """

    code = "unrenderable"


class OverBound(PipelineError):
    """What was handed to a tool is more than it may take: its author's fault (exit 1).

    It is recorded as a refusal, once: trying again would end the same way. `bound` is a limit of
    the sandbox (`time`, `memory` …), `crash` for input that a tool dies of, or `path`.
    """

    exit_code = 1
    code = "over-bound"

    def __init__(self, bound: str, message: str, *, help: str = "") -> None:
        super().__init__(message, help=help)
        self.bound = bound


class GitFailed(CouldNotCheck):
    """A git process failed for a reason other than a moved ref."""

    code = "git-failed"


class ForgeRefused(PipelineError):
    """The forge refused a write by its rules: branch protection, permissions (exit 1)."""

    exit_code = 1
    code = "forge-refused"


class MergePending(PipelineError):
    """The forge took a merge, and carries it out later by itself (exit 4).

    Whoever planned on the merge waits, and finds it done.
    """

    exit_code = 4
    code = "merge-pending"


class NotFound(PipelineError):
    """A repository, ref, object or pull request does not exist (exit 4)."""

    exit_code = 4
    code = "not-found"


def failure_of(error: Exception) -> tuple[str, str]:
    """Code and message of what keeps one draft, repository or tenant from going on.

    An exception that nobody raised on purpose is named with the place that it comes from, since
    the run that reports it goes on with the others.
    """
    if isinstance(error, PipelineError):
        return error.code, error.message
    # 3 ms: `--help` and most runs report no bug.
    import traceback  # most commands never need it

    frames = traceback.extract_tb(error.__traceback__)
    file = frames[-1].filename.rsplit("/", 1)[-1] if frames else ""
    place = f" ({file}:{frames[-1].lineno})" if frames else ""
    return PipelineError.code, f"{type(error).__name__}: {error}{place}"

"""The one tree of exceptions that stop a run, with their exit codes.

Findings (`pipeline.diagnostics`) are values and all are shown; an exception stops a run.
Adapters translate foreign exceptions into these with `raise … from`. Exit codes:
0 clean, 1 findings, 2 usage, 3 stale plan, 4 a tool or service failed, 70 a bug.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

if TYPE_CHECKING:
    from pipeline.diagnostics import Finding


class PipelineError(Exception):
    """Base of every error that the pipeline raises on purpose.

    `message` says what went wrong, `help` what to do; `code` is a stable kebab-case name.
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

    `drafts` are those whose effect found it moved, if applying knows them.
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

    Rule `manifest-not-rendered` refuses its draft.
    """

    code = "unrenderable"


STEP = "step"  # the bound of a build whose own Dockerfile fails


class OverBound(PipelineError):
    """A tool's input exceeds a bound: its author's fault (exit 1).

    It is recorded as a refusal, once: a retry would end the same way. `bound` is a limit of the
    sandbox (`time`, `memory` …), `crash` for input that crashes a tool, `path`, or `step` for a
    build whose own Dockerfile fails.
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
    """The forge accepted a merge and will do it later (exit 4).

    A run that needs the merge waits; a later run finds it done.
    """

    exit_code = 4
    code = "merge-pending"


class NotFound(PipelineError):
    """A repository, ref, object or pull request does not exist (exit 4)."""

    exit_code = 4
    code = "not-found"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What `pipeline explain` prints for an error: what happened, and what to do."""

    summary: str
    fix: str


# Every error code that is not a rule; `stale-plan` and `merge-pending` are rules.
ERRORS: Mapping[str, Explanation] = {
    "internal-error": Explanation(
        "The pipeline met a case that it does not handle: a bug.",
        "report the lines that it printed; `--debug` shows the traceback",
    ),
    "usage": Explanation(
        "The call is wrong: an unknown draft, file or option, or options that exclude each other.",
        "correct the call; `--help` behind the command shows what it takes",
    ),
    "refused": Explanation(
        "The input was understood and breaks rules; the findings say which.",
        "correct what the findings name; `pipeline explain` tells of each of their codes",
    ),
    "could-not-check": Explanation(
        "A tool or a service was missing or failed, so nothing is known; this is never a pass.",
        "`pipeline doctor` says what this machine lacks; then repeat the command",
    ),
    "unrenderable": Explanation(
        "Helm or Kustomize cannot render the chart or overlay of a draft.",
        "correct the chart by a patch; the message is the tool's own",
    ),
    "over-bound": Explanation(
        "What a tool was given is more than it may take in time, memory or size.",
        "make the input smaller; the message names the bound",
    ),
    "git-failed": Explanation(
        "A Git process failed for another reason than a branch that moved.",
        "see Git's own message; `git fsck` in the repository finds damage",
    ),
    "forge-refused": Explanation(
        "The forge refused a write by its own rules: branch protection or permissions.",
        "compare the branch rules and the pipeline's permissions with `pipeline doctor`",
    ),
    "not-found": Explanation(
        "A repository, branch, object or pull request does not exist.",
        "check the name; a repository may be one that the pipeline's account cannot see",
    ),
    "github-unanswered": Explanation(
        "GitHub gave no answer to a write, so it is not known whether it was done.",
        "run again: what was done is found and not done twice",
    ),
    "github-unavailable": Explanation(
        "GitHub does not answer, or asks to wait for longer than a run may.",
        "run again later: the next run goes on where this one ended",
    ),
    "lock-refused": Explanation(
        "The packages that a lock file names cannot be installed as it pins them.",
        "lock them anew with hashes, for wheels only; the message names the line or package",
    ),
    "template-refused": Explanation(
        "A golden template is malformed, or cannot be rendered with these values.",
        "`pipeline template lint` names each place and why",
    ),
    "object-missing": Explanation(
        "An object that history names is not in the clone, or is not what its id says.",
        "fetch into a fresh clone; `git fsck` lists other damage",
    ),
    "demo-broke": Explanation(
        "A step of the demo did not end as it must.",
        "the message names the step; remove `.demo/` and run the demo again",
    ),
}


class Failure(NamedTuple):
    """Why one draft, repository or tenant could not go on; in JSON a list of three strings."""

    subject: str  # the draft, else the repository or tenant
    code: str  # explained by `pipeline explain`
    message: str


def failure_of(subject: str, error: Exception) -> Failure:
    """The failure of a draft, repository or tenant, from an exception.

    For an exception not raised on purpose the message names its place in the code, since the run
    that reports it goes on with the others.
    """
    if isinstance(error, PipelineError):
        return Failure(subject, error.code, error.message)
    # 3 ms; `--help` and most runs report no bug.
    import traceback  # most commands never need it

    frames = traceback.extract_tb(error.__traceback__)
    file = frames[-1].filename.rsplit("/", 1)[-1] if frames else ""
    place = f" ({file}:{frames[-1].lineno})" if frames else ""
    return Failure(subject, PipelineError.code, f"{type(error).__name__}: {error}{place}")

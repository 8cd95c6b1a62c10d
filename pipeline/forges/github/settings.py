"""Checks of the settings that a live forge needs for the guarantees to hold. Pure.

docs/guarantees.md says which promise depends on which setting.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pipeline.forges.port import BranchRule
from pipeline.models.requests import Environment, Platform, Signers

# GitHub, "Rate limits for the REST API": content-creating requests per minute and per hour.
CONTENT_A_MINUTE, CONTENT_AN_HOUR = 80, 500
# A promotion opens a pull request and merges it, and shows a deployment and its state. Pushes do
# not count as API requests.
CONTENT_A_PROMOTION = 4
# The control repo's environments with the secrets of its workflows.
ENVIRONMENTS_WITH_SECRETS = ("pipeline", "registry")


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its state, its problem (empty if it has none), and how to fix it."""

    name: str
    detail: str
    problem: str = ""
    help: str = ""


def check_account(platform: Platform, account: int | None) -> Setting:
    """Whether the credential belongs to the pipeline's account in the platform file."""
    wanted = platform.pipeline_account
    told = f"`{wanted.login}` ({wanted.id})"
    if account == wanted.id:
        return Setting("account", f"acts as {told}")
    return Setting(
        "account",
        f"acts as {account}",
        f"the credential is of account {account}, and platform.yaml says {told}",
        "use the App's key, or correct the account of kind `pipeline`",
    )


def check_rules(wanted: Iterable[BranchRule], there: Iterable[BranchRule]) -> Iterator[Setting]:
    """Whether each rule exists and is at least as strict."""
    found = {rule.pattern: rule for rule in there}
    for rule in wanted:
        problem = _weakness(rule, found.get(rule.pattern))
        yield Setting(
            f"branch {rule.pattern}",
            _words(rule),
            problem,
            "the repository's rulesets must hold at least this; `pipeline run` does not loosen them"
            if problem
            else "",
        )


def check_repositories(
    wanted: Mapping[str, Iterable[BranchRule]], there: Mapping[str, Iterable[BranchRule] | None]
) -> Iterator[Setting]:
    """Whether the rules of tenants' repositories are at least as strict; the good ones are counted.

    `there` holds None for a missing repository.
    """
    good = 0
    for repo, rules in sorted(wanted.items()):
        found = there.get(repo)
        if found is None:
            yield Setting(f"rules {repo}", "", "there is no such repository", _REPOSITORY_GONE)
            continue
        weak = [s.problem for s in check_rules(rules, found) if s.problem]
        if weak:
            yield Setting(f"rules {repo}", "", "; ".join(weak), _RULES_LOOSE)
        else:
            good += 1
    yield Setting("rules", f"of {good} repositories of tenants hold what policy asks for")


_REPOSITORY_GONE = "facts say that it was made: bring it back from a clone"
_RULES_LOOSE = (
    "somebody loosened them, or policy changed since: `pipeline run` brings in line what policy "
    "changed; what was loosened by hand is set right by hand"
)


def _weakness(wanted: BranchRule, there: BranchRule | None) -> str:
    if there is None:
        return f"no ruleset of the pipeline is for `{wanted.pattern}`"
    for name in ("push", "merge"):
        allowed, may = getattr(wanted, name), getattr(there, name)
        if allowed is None:
            continue
        if may is None:
            return f"anybody may {name} to `{wanted.pattern}`"
        more = sorted(set(may) - set(allowed))
        if more:
            return f"accounts {', '.join(map(str, more))} may {name} to `{wanted.pattern}` too"
    if there.approvals < wanted.approvals:
        return f"`{wanted.pattern}` asks for {there.approvals} approvals, not {wanted.approvals}"
    return ""


def _words(rule: BranchRule) -> str:
    said = []
    if rule.push is not None:
        said.append(f"pushed to by {len(rule.push) or 'nobody'}")
    if rule.merge is not None:
        said.append(f"merged into by {len(rule.merge)}")
    if rule.approvals:
        said.append(f"{rule.approvals} approval at least")
    return ", ".join(said)


def approving_teams(environments: Iterable[Environment]) -> tuple[str, ...]:
    """The teams whose approval some environment needs."""
    return tuple(sorted({team for e in environments for p in e.all_approvals for team in p.teams}))


def check_teams(
    platform: Platform, members: Mapping[str, frozenset[int] | None]
) -> Iterator[Setting]:
    """Whether each approving team has the same members on the forge as in the platform file."""
    for team, there in members.items():
        if there is None:
            continue
        named = platform.members((team,))
        both = named & there
        problem = ""
        if not both:
            problem = (
                f"no account is in team `{team}` both on the forge and in platform.yaml, "
                "so no approval can count"
            )
        elif named - there:
            gone = ", ".join(map(str, sorted(named - there)))
            problem = f"accounts {gone} of `{team}` are not of it on the forge: they do not count"
        yield Setting(
            f"team {team}",
            f"{len(both)} approve",
            problem,
            "bring the team and platform.yaml in line" if problem else "",
        )


def check_code_owners(wanted: bytes, there: bytes) -> Setting:
    """Whether CODEOWNERS on main is as authority requires: the last matching line decides, so an
    extra line matters as much as a missing one."""
    patterns = _patterns(wanted)
    problem = "" if _patterns(there) == patterns else "CODEOWNERS on main is not as policy has it"
    help = "`pipeline authority --code-owners > .github/CODEOWNERS`, as a pull request"
    return Setting("code owners", f"{len(patterns)} patterns", problem, help if problem else "")


def _patterns(code_owners: bytes) -> list[list[str]]:
    lines = code_owners.decode("utf-8", "replace").splitlines()
    return [line.split() for line in lines if line.strip() and not line.startswith("#")]


def check_signers(platform: Platform, signers: Signers | None) -> Setting:
    """Whether the control repo's own build workflow is a trusted signer, and by which root."""
    help = "see `environments/signers.yaml` in docs/github.md; `pipeline init` writes one"
    own = f"{platform.organisation}/{platform.repos.control}"
    found = signers.signers if signers else ()
    named = [s for s in found if s.workflow and s.workflow.repository == own]
    problem = ""
    if not named:
        problem = f"no workflow of {own} is a signer: no image that it builds may run"
    elif signers and not signers.trusted_roots:
        problem = "there is no trusted root, so no workflow's certificate is believed"
    keys = sum(1 for signer in found if signer.public_key)
    detail = f"{len(named)} workflow of {own}, {keys} keys"
    return Setting("signers", detail, problem, help if problem else "")


def check_gate(required: Mapping[str, int | None], account: int) -> Iterator[Setting]:
    """Whether main requires the gate's check and the App's own judgement."""
    help = "import `.github/rulesets/gate-main.json`, as `pipeline init` writes it"
    problem = "" if "gate" in required else "pull requests are merged without the check `gate`"
    yield Setting("check gate", "is required", problem, help if problem else "")
    problem = ""
    if "judged" not in required:
        problem = (
            "a pull request that changes the workflows judges itself: `judged` is not required"
        )
    elif required["judged"] != account:
        problem = "`judged` is taken from anybody, not from the pipeline's App alone"
    yield Setting("check judged", "is required of the App", problem, help if problem else "")


def check_secrets_environment(name: str, branches: tuple[str, ...] | None, main: str) -> Setting:
    """Whether only workflows of the default branch get an environment's secrets.

    `branches` is None if there is no such environment.
    """
    problem = ""
    if branches is None:
        problem = f"there is no environment `{name}`: nothing keeps its secrets to `{main}`"
    elif branches != (main,):
        told = ", ".join(branches) or "no branch"
        problem = f"its secrets are for {told}: a pull request could take them"
    help = f"Settings, Environments, {name}: deployments from the branch `{main}` alone"
    return Setting(f"environment {name}", f"for `{main}` alone", problem, help if problem else "")


def promotion_pace() -> Setting:
    """How many promotions GitHub's limits allow."""
    minute, hour = CONTENT_A_MINUTE // CONTENT_A_PROMOTION, CONTENT_AN_HOUR // CONTENT_A_PROMOTION
    return Setting(
        "pace",
        f"{minute} promotions a minute and {hour} an hour, by GitHub's limits of"
        f" {CONTENT_A_MINUTE} and {CONTENT_AN_HOUR} content-creating requests",
    )

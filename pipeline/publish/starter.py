"""A new control repo: policy, a first tenant, workflows, owners and rulesets. Pure.

What is the same for all lies in `pipeline/starter/`, written by `python -m pipeline.docs` from this
repository's own files; what differs are the answers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.diagnostics import Finding
from pipeline.documents import render_document
from pipeline.errors import Refused, UsageFault
from pipeline.forges.github.control_rulesets import control_rulesets
from pipeline.git.objects import blob_id
from pipeline.models.base import API_VERSION
from pipeline.models.requests import Platform
from pipeline.publish.schemas import render_schema, schema_of
from pipeline.render import code_owners
from pipeline.requests.kinds import KINDS, is_of_kind, parse_request
from pipeline.requests.layout import (
    BLOCKED_PATH,
    PLATFORM_PATH,
    REQUEST_ROOTS,
    SIGNERS_PATH,
    tenant_path,
)
from pipeline.requests.snapshot import Snapshot, snapshot_of
from pipeline.stages.validate import check_requests

WORKFLOWS = ("validate", "comment", "scaffold", "build", "promote", "observe")
# Where the action stands in the workflows until somebody answers which one it is.
ACTION_MARK = "OWNER/primitive-pipeline@COMMIT"
# Whose build workflow signs, in the signers until somebody answers which organisation's it is.
SIGNER_MARK = "OWNER/CONTROL"
_SIGNING_REPOSITORY = re.compile(r"(?m)^( +repository: ).+$")
_ACTION = re.compile(r"[A-Za-z0-9-]+/[A-Za-z0-9._-]+@[0-9a-f]{40}\Z")


def starter_parts(requests: Iterable[str]) -> dict[str, str]:
    """Paths in `pipeline/starter/` → paths of this repository that they are made from.

    `requests` are the paths of its requests: a new control repo begins with its environments.
    """
    workflows = {f"workflows/{name}.yaml": f".github/workflows/{name}.yaml" for name in WORKFLOWS}
    environments = [path for path in requests if is_of_kind(path, "Environment")]
    policy = (*environments, BLOCKED_PATH, SIGNERS_PATH)
    return {**workflows, **{path: path for path in policy}}


def starter_part(path: str, content: bytes) -> bytes:
    """A file of `pipeline/starter/`, made from one of this repository's."""
    if path == SIGNERS_PATH:
        return _SIGNING_REPOSITORY.sub(rf"\1{SIGNER_MARK}", content.decode()).encode()
    if not path.startswith("workflows/"):
        return content
    text = content.decode().replace("uses: ./\n", f"uses: {ACTION_MARK}\n")
    return text.encode()


@dataclass(frozen=True, slots=True)
class Person:
    """An account of a person, and the teams that it is in."""

    id: int
    login: str
    teams: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answers:
    """What a new control repo has to be told."""

    platform: str
    organisation: str
    registry: str
    bot: tuple[int, str]  # the App's bot: number, login
    app_id: int
    people: Sequence[Person]
    tenant: str
    action: str  # OWNER/REPO@COMMIT


def starter_files(answers: Answers, parts: Mapping[str, bytes]) -> dict[str, bytes]:
    """Path → bytes of the new control repo, whose requests are valid.

    `parts` are the files of `pipeline/starter/`. Raises UsageFault for answers that cannot be
    read, Refused with what is found in the repo that they would make.
    """
    if not _ACTION.match(answers.action):
        raise UsageFault(
            f"`{answers.action}` is not an action at a commit",
            help="write OWNER/REPO@ and the 40 digits of the commit",
        )
    platform = _platform(answers)
    files = {
        PLATFORM_PATH: _headed(_platform_values(answers), "platform", 1),
        tenant_path(answers.tenant): _headed(_tenant_values(answers), "tenant", 2),
        BLOCKED_PATH: parts[BLOCKED_PATH],
        SIGNERS_PATH: parts[SIGNERS_PATH].replace(
            SIGNER_MARK.encode(), f"{answers.organisation}/{platform.repos.control}".encode()
        ),
        "README.md": _readme(answers),
    }
    files |= {path: parts[path] for path in parts if is_of_kind(path, "Environment")}
    for workflow in WORKFLOWS:
        text = parts[f"workflows/{workflow}.yaml"].decode().replace(ACTION_MARK, answers.action)
        files[f".github/workflows/{workflow}.yaml"] = text.encode()
    for kind in KINDS:
        schema = render_schema(schema_of(kind.name))
        files[f"schemas/{kind.schema_stem}.schema.json"] = schema.encode()
    for stem, ruleset in control_rulesets(platform, answers.app_id).items():
        text = json.dumps(ruleset, indent=2, sort_keys=True) + "\n"
        files[f".github/rulesets/{stem}.json"] = text.encode()
    snapshot, found = _judged(files)
    if found:
        raise Refused("the control repo of these answers would not be valid", found)
    files[code_owners.CODE_OWNERS_PATH] = code_owners.render_code_owners(snapshot)
    return dict(sorted(files.items()))


def _judged(files: Mapping[str, bytes]) -> tuple[Snapshot, tuple[Finding, ...]]:
    """The requests among the files, and every finding in them."""
    paths = [p for p in sorted(files) if p.split("/")[0] in REQUEST_ROOTS]
    results = [parse_request(path, files[path]) for path in paths]
    reads = [read for read, _ in results if read is not None]
    snapshot = snapshot_of("", {path: blob_id(files[path]) for path in paths}, reads)
    form = [finding for _, findings in results for finding in findings]
    return snapshot, check_requests(reads, form, snapshot, {})


def _platform_values(answers: Answers) -> dict[str, object]:
    bot = {"id": answers.bot[0], "login": answers.bot[1], "kind": "pipeline"}
    people = [
        {"id": p.id, "login": p.login, "kind": "person", "teams": list(p.teams)}
        for p in answers.people
    ]
    return {
        "apiVersion": API_VERSION,
        "kind": "Platform",
        "platform": answers.platform,
        "organisation": answers.organisation,
        "registry": {"prefix": answers.registry, "store": "registry"},
        "gitops_drift": "restore",
        "network": {
            "gateway": {"namespace": "gateway"},
            "egress": {
                "domain": [{"namespace": "postgres", "port": 5432}],
                "process": [{"namespace": "temporal", "port": 7233}],
            },
        },
        "owners": ["platform-engineers"],
        "accounts": [bot, *people],
    }


def _platform(answers: Answers) -> Platform:
    read, findings = parse_request(PLATFORM_PATH, render_document(_platform_values(answers)))
    if read is None or not isinstance(read.model, Platform):
        said = "; ".join(finding.message for finding in findings)
        raise UsageFault(f"these answers make no platform: {said}")
    return read.model


def _tenant_values(answers: Answers) -> dict[str, object]:
    return {
        "apiVersion": API_VERSION,
        "kind": "Tenant",
        "tenant_id": answers.tenant,
        "sku": "Shared",
        "custom_code": True,
        "risk_tier": "MEDIUM",
        "owners": [f"{answers.tenant}-engineers"],
        "cost_centre": "unassigned",
    }


def _headed(values: Mapping[str, object], stem: str, depth: int) -> bytes:
    above = "../" * depth
    header = f"yaml-language-server: $schema={above}schemas/{stem}.schema.json"
    return render_document(values, header=header)


def _readme(answers: Answers) -> bytes:
    return f"""# Control repo of {answers.platform}

Requests and policy; what is merged here is what happens. `main` is written by people through pull
requests, `state/<tenant>` by the pipeline alone.

Before the first run:

1. Create the organisation's teams that `environments/` and `tenants/` name, and let those of
   `.github/CODEOWNERS` write to this repository: GitHub holds only such to be code owners.
2. Install the App with `administration`, `checks`, `contents` and `pull_requests` to write and
   `members` to read. Set the variable `PIPELINE_APP_ID` to {answers.app_id}.
3. Make the environments `pipeline` (secret `PIPELINE_APP_PRIVATE_KEY`) and `registry` (secret
   `REGISTRY_CONFIG`), both for the branch `main` alone.
4. Import `.github/rulesets/*.json` (Settings, Rules, Rulesets, Import a ruleset).
5. If this repository is not public, have GitHub's own roots trusted for provenance:
   `gh attestation trusted-root | sed 's/^/  - /' >> environments/signers.yaml`.
6. `pipeline doctor --github` says what is missing.
""".encode()

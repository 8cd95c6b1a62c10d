"""Runs workflows of a control repo on the local GitHub, job by job and step by step."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.support.sigstore import sigstore
from tests.support.workflows.expressions import as_text, evaluated, expanded
from worlds.github_server import GitHubServer
from worlds.github_server.state import Account, App, Token

ACTIONS_APP_ID, ACTIONS_BOT_ID = 15368, 41898282
TIMEOUT_S = 600
APP_PERMISSIONS = "PIPELINE_APP_PERMISSIONS"
Json = dict[str, Any]


@dataclass
class JobRun:
    """The result of one job, or of one job of a matrix."""

    job: str
    name: str
    result: str  # success, failure, skipped
    outputs: dict[str, str] = field(default_factory=dict)
    log: str = ""
    permissions: dict[str, str] = field(default_factory=dict)
    apparmor: str = ""  # the profile that it loaded


@dataclass
class WorkflowRun:
    """A run of a workflow: its jobs in order."""

    workflow: str
    jobs: list[JobRun] = field(default_factory=list)
    scanned: dict[tuple[str, str], Json] = field(default_factory=dict)  # ref, commit → SARIF

    @property
    def result(self) -> str:
        """`failure` if a job failed."""
        return "failure" if any(job.result == "failure" for job in self.jobs) else "success"

    @property
    def log(self) -> str:
        """The output of all jobs."""
        return "\n".join(f"== {job.name}: {job.result}\n{job.log}" for job in self.jobs)

    def of(self, job: str) -> list[JobRun]:
        """The jobs with one id: several of a matrix."""
        return [run for run in self.jobs if run.job == job]


@dataclass(frozen=True)
class Withheld:
    """A permission of a job's `github.token`, or of its App's token, that is lowered to `level`."""

    job: str
    of: str  # token, app
    permission: str
    level: str | None

    def applied(self, job: str, of: str, permissions: Mapping[str, str]) -> dict[str, str]:
        """The permissions, lowered."""
        kept = dict(permissions)
        if (job, of) == (self.job, self.of):
            kept.pop(self.permission)
            if self.level is not None:
                kept[self.permission] = self.level
        return kept


class StepFailed(Exception):
    """A step ended with an exit code other than 0."""


@dataclass
class Runner:
    """GitHub Actions for one repository; `environments` holds the secrets of each."""

    server: GitHubServer
    organisation: str
    repository: str
    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    environments: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    # What one job is not given though it asks for it.
    withheld: Withheld | None = None
    runs: int = 0

    def run(self, workflow: str, event: str, payload: Json | None = None) -> WorkflowRun:
        """A run of a workflow on an event; the workflow file comes from the event's commit."""
        self.runs += 1
        repository = self.server.repository(self.organisation, self.repository)
        payload = {"repository": {"default_branch": repository.default_branch}, **(payload or {})}
        ref = f"refs/heads/{repository.default_branch}"
        if event == "pull_request":
            ref = self._merge_ref(payload["pull_request"]["number"])
        if event == "merge_group":
            ref = payload["merge_group"]["head_ref"]
        commit = repository.git("rev-parse", ref)
        text = repository.git("show", f"{commit}:.github/workflows/{workflow}.yaml")
        document = yaml.load(text, Loader=yaml.BaseLoader)
        github = {
            "event_name": event,
            "event": payload,
            "ref": ref,
            "sha": commit,
            "repository": f"{self.organisation}/{self.repository}",
            "workflow_ref": (
                f"{self.organisation}/{self.repository}/.github/workflows/{workflow}.yaml@{ref}"
            ),
            "run_id": str(self.runs),
            "server_url": self.server.url,
            "api_url": self.server.api_url,
        }
        run = WorkflowRun(workflow)
        _Execution(self, run, document, github).execute()
        return run

    def _merge_ref(self, number: int) -> str:
        """The ref of a pull request's test merge, as GitHub keeps it."""
        repository = self.server.repository(self.organisation, self.repository)
        pull = repository.pulls[number]
        ref = f"refs/pull/{number}/merge"
        base = repository.branch(pull.base_branch)
        assert base is not None
        tree = repository.git("merge-tree", "--write-tree", base, pull.head)
        identity = {
            "GIT_AUTHOR_NAME": "GitHub",
            "GIT_AUTHOR_EMAIL": "noreply@github.com",
            "GIT_COMMITTER_NAME": "GitHub",
            "GIT_COMMITTER_EMAIL": "noreply@github.com",
        }
        commit = repository.git(
            *("commit-tree", tree, "-p", base, "-p", pull.head, "-m", "Merge"),
            environment=identity,
        )
        repository.git("update-ref", ref, commit)
        return ref

    def token(self, permissions: Mapping[str, str]) -> Token:
        """A `github.token` with exactly these permissions, for this repository alone."""
        state = self.server.state
        if ACTIONS_APP_ID not in state.apps:
            bot = Account(ACTIONS_BOT_ID, "github-actions[bot]", "Bot")
            state.accounts[bot.id] = bot
            made = App(ACTIONS_APP_ID, "github-actions", bot, "", {}, 0, self.organisation)
            state.apps[ACTIONS_APP_ID] = made
        app = state.apps[ACTIONS_APP_ID]
        return state.new_token(
            app.bot,
            app=app,
            permissions={
                "metadata": "read",
                **{name.replace("-", "_"): level for name, level in permissions.items()},
            },
            repositories=frozenset({self.repository}),
        )


@dataclass
class _Execution:
    runner: Runner
    run: WorkflowRun
    document: Json
    github: Json

    def execute(self) -> None:
        """Run every job after those that it needs."""
        assert self.document["permissions"] == {}, "rights belong to jobs"
        waiting = dict(self.document["jobs"])
        needs: dict[str, Json] = {}
        while waiting:
            job = next(id for id, text in waiting.items() if set(_needs(text)) <= set(needs))
            text = waiting.pop(job)
            ended = self._job(job, text, {name: needs[name] for name in _needs(text)})
            self.run.jobs += ended
            results = {one.result for one in ended}
            worst = "failure" if "failure" in results else next(iter(results or {"skipped"}))
            needs[job] = {"result": worst, "outputs": ended[-1].outputs if ended else {}}

    def _job(self, job: str, text: Json, needs: Mapping[str, Json]) -> list[JobRun]:
        results = [need["result"] for need in needs.values()]
        functions = {
            "always": lambda: True,
            "cancelled": lambda: False,
            "success": lambda: all(result == "success" for result in results),
            "failure": lambda: "failure" in results,
        }
        contexts: Json = {"github": self.github, "needs": needs, "vars": self.runner.variables}
        condition = _stripped(text.get("if", "success()"))
        asked = any(f"{name}()" in condition for name in functions)
        wanted = evaluated(condition, contexts, functions)
        if not wanted or not (asked or functions["success"]()):
            return [JobRun(job, text.get("name", job), "skipped")]
        entries: Sequence[Json] = [{}]
        if "strategy" in text:
            matrix = expanded(text["strategy"]["matrix"], contexts, functions)
            [(name, values)] = matrix.items()
            entries = [{name: value} for value in values]
        return [self._one(job, text, {**contexts, "matrix": entry}) for entry in entries]

    def _one(self, job: str, text: Json, contexts: Json) -> JobRun:
        permissions = dict(text["permissions"])
        if self.runner.withheld:
            permissions = self.runner.withheld.applied(job, "token", permissions)
        token = self.runner.token(permissions)
        secrets = self.runner.environments.get(text.get("environment", ""), {})
        number = len(list(self.runner.folder.glob("job-*")))
        folder = self.runner.folder / f"job-{number}"
        (folder / "home").mkdir(parents=True)
        name = as_text(expanded(text.get("name", job), contexts, {}))
        ended = JobRun(job, name, "success", permissions=permissions)
        contexts = {
            **contexts,
            "github": {**self.github, "token": token.value},
            "secrets": secrets,
            "runner": {"os": "Linux", "temp": str(folder / "temp")},
            "steps": {},
        }
        _Job(self.runner, folder, text, contexts, ended, self.run).execute()
        return ended


@dataclass
class _Job:
    runner: Runner
    folder: Path
    text: Json
    contexts: Json
    ended: JobRun
    run: WorkflowRun
    added: dict[str, str] = field(default_factory=dict)  # by GITHUB_ENV
    paths: list[str] = field(default_factory=list)  # by GITHUB_PATH

    @property
    def workspace(self) -> Path:
        return self.folder / "workspace"

    def execute(self) -> None:
        for name in ("workspace", "temp", "bin"):
            (self.folder / name).mkdir()
        for name, text in _PROGRAMS.items():
            (self.folder / "bin" / name).write_text(text)
            (self.folder / "bin" / name).chmod(0o755)
        (self.folder / "event.json").write_text(json.dumps(self.contexts["github"]["event"]))
        for step in self.text["steps"]:
            if not self._is_due(step):
                continue
            try:
                self._step(step, self.contexts)
            except StepFailed:
                self.ended.result = "failure"
        profile = self.folder / "bin" / "profile"
        self.ended.apparmor = profile.read_text() if profile.exists() else ""
        outputs = expanded(self.text.get("outputs", {}), self.contexts, {})
        self.ended.outputs = {key: as_text(value) for key, value in outputs.items()}

    def _is_due(self, step: Json) -> bool:
        good = self.ended.result == "success"
        if "if" not in step:
            return good
        functions = {"always": lambda: True, "success": lambda: good, "failure": lambda: not good}
        condition = _stripped(step["if"])
        # One that names no such function is asked only while all went well.
        asked = any(f"{name}()" in condition for name in functions)
        return (asked or good) and bool(evaluated(condition, self.contexts, functions))

    def _step(self, step: Json, contexts: Json) -> None:
        self.ended.log += f"-- {step.get('name', '')}\n"
        given = expanded(step.get("with", {}), {**contexts, "hashFiles": None}, _HASHES)
        uses = step.get("uses", "").split("@")[0]
        match uses:
            case "":
                self._run(step, contexts)
            case "./":
                self._composite(contexts)
            case "actions/checkout":
                self._checkout(given)
            case "actions/upload-artifact":
                self._upload(given)
            case "actions/download-artifact":
                self._download(given)
            case "actions/cache":
                pass
            case "github/codeql-action/upload-sarif":
                self._upload_findings(given)
            case "actions/attest":
                self._attest(step, given, contexts)
            case _:
                raise AssertionError(f"no step of this runner: {uses}")

    # -- what a step does --------------------------------------------------------------

    def _run(self, step: Json, contexts: Json) -> None:
        assert "${{" not in step["run"], "an expression inside `run` is somebody else's code"
        files = {
            name: self.folder / name.lower()
            for name in ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_STEP_SUMMARY")
        }
        for path in files.values():
            path.write_text("")
        environment = {
            **self._environment(contexts),
            **{name: str(path) for name, path in files.items()},
            **{k: as_text(v) for k, v in expanded(step.get("env", {}), contexts, {}).items()},
        }
        if self.runner.withheld and APP_PERMISSIONS in environment:
            granted = dict(_pairs(environment[APP_PERMISSIONS].replace(",", "\n")))
            granted = self.runner.withheld.applied(self.ended.job, "app", granted)
            environment[APP_PERMISSIONS] = ",".join(f"{k}={v}" for k, v in granted.items())
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step["run"]],
            cwd=self.workspace,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        self.ended.log += done.stdout + files["GITHUB_STEP_SUMMARY"].read_text()
        self.added |= dict(_pairs(files["GITHUB_ENV"].read_text()))
        self.paths += files["GITHUB_PATH"].read_text().splitlines()
        if "id" in step:
            outputs = dict(_pairs(files["GITHUB_OUTPUT"].read_text()))
            contexts["steps"][step["id"]] = {"outputs": outputs}
        if done.returncode != 0:
            self.ended.log += f"exit code {done.returncode}\n"
            raise StepFailed(step.get("name"))

    def _environment(self, contexts: Json) -> dict[str, str]:
        github = contexts["github"]
        return {
            "PATH": ":".join([*self.paths[::-1], str(self.folder / "bin"), os.environ["PATH"]]),
            "HOME": str(self.folder / "home"),
            "LANG": "C.UTF-8",
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_ACTION_PATH": str(contexts.get("action_path", "")),
            "GITHUB_API_URL": github["api_url"],
            "GITHUB_EVENT_NAME": github["event_name"],
            "GITHUB_EVENT_PATH": str(self.folder / "event.json"),
            "GITHUB_REF": github["ref"],
            "GITHUB_REPOSITORY": github["repository"],
            "GITHUB_RUN_ID": github["run_id"],
            "GITHUB_SERVER_URL": github["server_url"],
            "GITHUB_SHA": github["sha"],
            "GITHUB_WORKFLOW_REF": github["workflow_ref"],
            "GITHUB_WORKSPACE": str(self.workspace),
            "RUNNER_TEMP": str(self.folder / "temp"),
            **self.added,
        }

    def _composite(self, contexts: Json) -> None:
        action = yaml.load((self.workspace / "action.yml").read_text(), Loader=yaml.BaseLoader)
        inner = {
            **contexts,
            "action_path": self.workspace,
            "github": {**contexts["github"], "action_path": str(self.workspace)},
        }
        for step in action["runs"]["steps"]:
            self._step(step, inner)

    def _checkout(self, given: Json) -> None:
        assert given["persist-credentials"] == "false"
        github = self.contexts["github"]
        target = self.workspace / given.get("path", ".")
        target.mkdir(parents=True, exist_ok=True)
        url = f"{github['server_url']}/{github['repository']}"
        pair = base64.b64encode(f"x-access-token:{github['token']}".encode()).decode()
        environment = {
            **os.environ,
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"http.{url}.extraHeader",
            "GIT_CONFIG_VALUE_0": f"Authorization: Basic {pair}",
        }
        depth = given.get("fetch-depth", "1")
        for arguments in (
            ["init", "-q", "."],
            ["remote", "add", "origin", url],
            ["fetch", "-q", f"--depth={depth}", "origin", given.get("ref") or github["ref"]],
            ["checkout", "-q", "--detach", "FETCH_HEAD"],
        ):
            done = subprocess.run(
                ["git", *arguments],
                cwd=target,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                self.ended.log += done.stderr
                raise StepFailed("checkout")

    def _upload_findings(self, given: Json) -> None:
        """Store a run's findings with the repository, by ref and commit."""
        if self.ended.permissions.get("security-events") != "write":
            self.ended.log += "upload-sarif needs `security-events: write`\n"
            raise StepFailed("upload-sarif")
        log = json.loads((self.workspace / given["sarif_file"]).read_text())
        assert log["version"] == "2.1.0"
        self.run.scanned[given["ref"], given["sha"]] = log

    def _attest(self, step: Json, given: Json, contexts: Json) -> None:
        """The attestation of a predicate, signed by the tests' Sigstore as this workflow."""
        for right in ("id-token", "attestations"):
            if self.ended.permissions.get(right) != "write":
                self.ended.log += f"actions/attest needs `{right}: write`\n"
                raise StepFailed("attest")
        algorithm, _, digest = given["subject-digest"].partition(":")
        statement = {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": given["subject-name"], "digest": {algorithm: digest}}],
            "predicateType": given["predicate-type"],
            "predicate": json.loads((self.workspace / given["predicate-path"]).read_text()),
        }
        github = contexts["github"]
        identity = f"{github['server_url']}/{github['workflow_ref']}"
        path = self.folder / "temp" / "attestation.json"
        path.write_text(sigstore().attest(json.dumps(statement).encode(), identity) + "\n")
        contexts["steps"][step["id"]] = {"outputs": {"bundle-path": str(path)}}

    def _artifact(self, name: str) -> Path:
        return self.runner.folder / f"artifacts-{self.contexts['github']['run_id']}" / name

    def _upload(self, given: Json) -> None:
        found = sorted(self.workspace.glob(given["path"]))
        if not found:  # the real action warns
            self.ended.log += f"no files were found at {given['path']}\n"
            return
        target = self._artifact(given["name"])
        assert not target.exists(), f"artifact {given['name']} is there already"
        target.mkdir(parents=True)
        for path in found:
            if path.is_dir() and self.workspace / given["path"] == path:
                shutil.copytree(path, target, dirs_exist_ok=True)
            elif path.is_file():
                shutil.copy(path, target / path.name)

    def _download(self, given: Json) -> None:
        target = self.workspace / given["path"]
        target.mkdir(parents=True, exist_ok=True)
        pattern = given.get("pattern") or given["name"]
        found = sorted(self._artifact("").glob(pattern))
        if not found and "name" in given:
            self.ended.log += f"there is no artifact {pattern}\n"
            raise StepFailed("download")
        for path in found:
            shutil.copytree(path, target, dirs_exist_ok=True)


# In place of those of GitHub's machines: nobody is root here, and a profile is kept instead of
# loaded. What would change a setting of the machine ends the step.
_PROGRAMS = {
    "sudo": '#!/bin/sh\nexec "$@"\n',
    "apparmor_parser": """#!/bin/sh
test "$*" = --replace && cat > "$(dirname "$0")/profile" && test -s "$(dirname "$0")/profile"
""",
    "sysctl": "#!/bin/sh\necho 'no setting of the machine is changed' >&2\nexit 1\n",
}

_HASHES = {"hashFiles": lambda *patterns: "0" * 64}


def _needs(text: Json) -> list[str]:
    needs = text.get("needs", [])
    return [needs] if isinstance(needs, str) else list(needs)


def _stripped(condition: str) -> str:
    return condition.strip().removeprefix("${{").removesuffix("}}").strip()


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        name, mark, value = line.partition("=")
        assert mark and "<<" not in name, line
        yield name, value

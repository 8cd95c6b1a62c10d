"""Projects of the golden templates: lint, types, wheels, checks, and tests that can fail."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from pipeline.checks import CHECKS, run_checks
from pipeline.models.evidence import CheckOutcome
from tests.support.golden_templates import HOSTILE, TEMPLATES
from tests.support.projects import (
    TOOLS,
    Values,
    render_project,
    run,
    run_python,
    source_of,
    write_project,
)

PYTHON = ("agent", "domain", "process")
PYTHON_CASES = [
    pytest.param(name, values, id=f"{name}-{case}")
    for name in PYTHON
    for case, values in TEMPLATES[name].cases.items()
]


def hostile_project(template: str, folder: Path) -> Path:
    """The project of a draft with a hostile description."""
    return write_project(template, TEMPLATES[template].values(description=HOSTILE), folder)


def packages_of(lock: bytes) -> dict[str, int]:
    """`name==version` of a lock file → how many hashes it has."""
    entries = re.split(r"^(?=[a-z])", lock.decode(), flags=re.MULTILINE)[1:]
    return {entry.split()[0]: entry.count("--hash=sha256:") for entry in entries}


@pytest.mark.parametrize("template", TEMPLATES)
def test_lock_files_are_hashed_agree_and_name_no_index(template: str) -> None:
    files = render_project(template, TEMPLATES[template].values())
    locks = {path: file.content for path, file in files.items() if path.endswith(".lock")}
    packages = {path: packages_of(content) for path, content in locks.items()}
    for path, found in packages.items():
        assert found, path
        assert all("==" in package and hashes for package, hashes in found.items()), path
        assert b"://" not in locks[path]
    names = ("requirements.lock", "requirements-dev.lock", "requirements-tools.lock")
    nested = [packages[name].keys() for name in names if name in packages]
    assert len(nested) >= (2 if template in PYTHON else 0)
    assert all(small < large for small, large in itertools.pairwise(nested))


@pytest.mark.parametrize(("template", "values"), PYTHON_CASES)
def test_a_project_is_linted_and_formatted_by_its_own_rules(
    template: str, values: Values, tmp_path: Path
) -> None:
    write_project(template, values, tmp_path)
    for arguments in (["check"], ["format", "--check"]):
        done = run_python(tmp_path, "-m", "ruff", *arguments, "--no-cache", ".")
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("template", "case"),
    [
        ("agent", "plain"),
        ("agent", "no tools"),
        ("domain", "words of YAML and Python"),
        ("process", "plain"),
        ("process", "words of YAML and Python"),
    ],
)
def test_the_types_of_a_project_are_sound(template: str, case: str, tmp_path: Path) -> None:
    write_project(template, TEMPLATES[template].cases[case], tmp_path)
    done = run_python(tmp_path, "-m", "mypy", "--cache-dir", TOOLS / "template-mypy-cache")
    assert done.returncode == 0, done.stdout
    found = re.search(r"no issues found in (\d+) source files", done.stdout)
    assert found and int(found[1]) >= 10, done.stdout


@pytest.mark.parametrize(
    ("template", "case", "summary"),
    [
        ("agent", "words of YAML and Python", r"1[0-9]{2} passed"),
        ("process", "longest names", r"[0-9]{2,} passed, 5 skipped"),
        ("process", "words of YAML and Python", r"[0-9]{2,} passed, 5 skipped"),
    ],
)
def test_the_tests_of_a_project_pass_under_odd_names(
    template: str, case: str, summary: str, tmp_path: Path
) -> None:
    write_project(template, TEMPLATES[template].cases[case], tmp_path)
    done = run_python(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout
    assert re.search(f"^{summary}", done.stdout, re.MULTILINE), done.stdout


# Those of a domain: tests/integration/checks/test_python.py.
@pytest.mark.parametrize("template", ["agent", "process", "ui"])
def test_a_project_passes_the_platform_s_checks_in_their_sandbox(
    template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Kept, as a platform engineer's cache is: fetching the packages takes longer than all else.
    monkeypatch.setenv("PIPELINE_CACHE", str(TOOLS / "checks-cache"))
    files = source_of(template, TEMPLATES[template].values(description=HOSTILE))
    report = run_checks(files, commit="a" * 40, tree="b" * 40, names=tuple(CHECKS))
    outcomes = {result.name: (result.outcome, result.details) for result in report.results}
    assert outcomes == dict.fromkeys(CHECKS, (CheckOutcome.PASSED, ()))


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_project_holds_no_secrets(template: str, tmp_path: Path) -> None:
    hostile_project(template, tmp_path)
    done = run(TOOLS / "bin" / "gitleaks", "dir", "--no-banner", ".", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("template", "packed"),
    [
        ("agent", ["agent_order_router/runtime.py", "agent_order_router/definition.json"]),
        ("process", ["process_order_router/workflow.py"]),
    ],
)
def test_a_wheel_holds_the_package_and_the_sdk(
    template: str, packed: list[str], tmp_path: Path
) -> None:
    project = hostile_project(template, tmp_path)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", "dist"]
    done = run_python(project, "-m", "pip", "wheel", *options, ".")
    assert done.returncode == 0, done.stderr
    [wheel] = (project / "dist").glob("order_router-0.1.0-*.whl")
    names = run_python(project, "-m", "zipfile", "-l", wheel).stdout
    for name in (*packed, "primitive_sdk/identity.py", "primitive_sdk/py.typed"):
        assert name in names


# Template, file of its package, a guard in it, what it is replaced by, the test that must fail.
GUARDS = {
    "agent-list": (
        "definition.py",
        "for g in definition.tools if g.name in limits.allowed_tools}",
        "for g in definition.tools}",
        "tests/test_tools.py",
    ),
    "agent-schema": (
        "tool_registry.py",
        "        if faults:\n",
        "        if False:\n",
        "tests/test_tools.py",
    ),
    "agent-confirm": (
        "runtime.py",
        "if not confirmed_by and needs_confirmation",
        "if False and needs_confirmation",
        "tests/test_confirmations.py",
    ),
    "agent-once": (
        "runtime.py",
        'confirmed_by = ""  # it was for that one call',
        "pass",
        "tests/test_confirmations.py",
    ),
    "agent-hash": (
        "confirmations.py",
        "if not hmac.compare_digest(",
        "if False and not hmac.compare_digest(",
        "tests/test_confirmations.py",
    ),
    "agent-steps": (
        "budget.py",
        "if self.steps >= self.budgets.steps:",
        "if self.steps >= 7:",
        "tests/test_budgets.py",
    ),
    "agent-tenant": (
        "sessions.py",
        "session is None or session.tenant_id != identity.tenant_id",
        "session is None",
        "tests/test_api.py",
    ),
    "agent-arguments": (
        "runtime.py",
        "shown = arguments if self.definition.log_prompts else None",
        "shown = arguments",
        "tests/test_privacy.py",
    ),
    "domain-tenant": (
        "memory_store.py",
        "if tenant == tenant_id and kind == entity_type",
        "if kind == entity_type",
        "tests/test_tenants.py::test_one_tenant_never_sees_anothers_entities",
    ),
    "domain-identity": (
        "server.py",
        "interceptors=[IdentityInterceptor(verifier)],",
        "interceptors=[],",
        "tests/test_tenants.py::test_no_token_is_refused",
    ),
    "domain-version": (
        "memory_store.py",
        "if record.version != version:\n            raise VersionChanged(entity_id)\n        ch",
        "if not record.version:\n            raise VersionChanged(entity_id)\n        ch",
        "tests/test_locking.py::test_of_two_writers_the_second_is_told",
    ),
    "domain-idempotency": (
        "memory_store.py",
        "if known_hash != request_hash:",
        "if not known_hash:",
        "tests/test_idempotency.py::test_the_same_key_for_another_request_is_refused",
    ),
    "domain-outbox": (
        "memory_store.py",
        "self._pending.remove(item)",
        "item.attempts = 0",
        "tests/test_store.py::test_each_change_leaves_one_event_and_a_refused_one_none",
    ),
    "process-order": (
        "workflow.py",
        "await self._wait_for_approval(step)",
        "await workflow.sleep(1)",
        "tests/test_replay.py",
    ),
    "process-definition": (
        "workflow.py",
        "if definition.tenant_id != given.tenant_id:",
        "if not definition.tenant_id:",
        "tests/test_replay.py",
    ),
    "process-identity": (
        "interceptors.py",
        "if identity.tenant_id != tenant_id:",
        "if not identity.tenant_id:",
        "tests/test_tenant.py",
    ),
    "process-token": (
        "tokens.py",
        "claimed_tenant=tenant_id)",
        'claimed_tenant=token.removeprefix("token-of-"))',
        "tests/test_tenant.py",
    ),
    "process-limit": (
        "limiter.py",
        "asyncio.Semaphore(self._limit)",
        "asyncio.Semaphore(99)",
        "tests/test_limiter.py",
    ),
    "process-size": (
        "payloads.py",
        "> MAX_PAYLOAD_BYTES:",
        "< 0:",
        "tests/test_payloads.py",
    ),
}


@pytest.mark.parametrize("guard", GUARDS)
def test_the_tests_of_a_project_fail_without_a_guard(guard: str, tmp_path: Path) -> None:
    template = guard.partition("-")[0]
    file, old, new, failing = GUARDS[guard]
    project = hostile_project(template, tmp_path)
    [package] = (project / "src").glob(f"{template}_*")
    source = (package / file).read_text()
    assert source.count(old) == 1
    (package / file).write_text(source.replace(old, new))
    tests = failing.partition("::")[0]
    done = run_python(project, "-m", "pytest", "-q", "-p", "no:cacheprovider", tests)
    assert done.returncode == 1, done.stdout
    assert f"FAILED {failing}" in done.stdout

"""Checks of a Node project: the platform's linter and Node's test runner, in the sandbox."""

from __future__ import annotations

from pipeline.checks import Files, run_checks
from pipeline.models.evidence import CheckName, CheckOutcome, CheckResult

SOURCE = "export function sum(a: number, b: number): number {\n  return a + b;\n}\n"
TEST = """import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sum } from '../src/sum.ts';

test('adds', () => assert.equal(sum(1, 2), 3));
"""


def project(**changed: str) -> Files:
    """A small project; `changed` adds files or replaces them, by path."""
    files = {"package.json": '{"type": "module"}', "src/sum.ts": SOURCE, "tests/sum.test.ts": TEST}
    return {path: (0o100644, text.encode()) for path, text in {**files, **changed}.items()}


def result_of(name: CheckName, files: Files) -> CheckResult:
    [result] = run_checks(files, commit="0" * 40, tree="0" * 40, names=[name]).results
    return result


def test_a_sound_project_passes() -> None:
    for name in ("lint", "code-scan", "tests"):
        result = result_of(name, project())  # type: ignore[arg-type]  # names of checks
        assert result.outcome is CheckOutcome.PASSED, result
    assert result_of("tests", project()).summary == "1 passed"


def test_a_failing_test_is_named() -> None:
    result = result_of("tests", project(**{"tests/sum.test.ts": TEST.replace("2), 3", "2), 4")}))
    assert result.outcome is CheckOutcome.FAILED
    assert (result.summary, result.details) == ("1 of 1 tests failed", ("adds",))


def test_a_project_without_tests_does_not_pass() -> None:
    files = {path: file for path, file in project().items() if not path.startswith("tests/")}
    assert result_of("tests", files).outcome is CheckOutcome.FAILED
    nothing = project(**{"tests/sum.test.ts": "export {};\n"})
    assert result_of("tests", nothing).summary == "no test passed"
    skipped = project(**{"tests/sum.test.ts": TEST.replace("test('adds'", "test.skip('adds'")})
    assert result_of("tests", skipped).summary == "no test passed"


def test_a_test_reaches_neither_network_nor_the_host() -> None:
    probing = """import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import { test } from 'node:test';

test('no credentials', () => {
  assert.equal(process.env.GITHUB_TOKEN, undefined);
  assert.equal(existsSync('/var/spool'), false);
});
test('no way out', async () => {
  const code = await new Promise(resolve => {
    connect({ host: '192.0.2.1', port: 443 }).on('error', error => resolve(error.code));
  });
  assert.ok(['ENETUNREACH', 'EACCES'].includes(String(code)), String(code));
});
"""
    result = result_of("tests", project(**{"tests/probe.test.ts": probing}))
    assert result.outcome is CheckOutcome.PASSED, result


def test_a_lint_error_is_reported_with_its_place() -> None:
    bad = project(**{"src/bad.ts": "export const x = 1;\nif (x == null) debugger;\n"})
    result = result_of("lint", bad)
    assert result.outcome is CheckOutcome.FAILED
    assert any(line.startswith("src/bad.ts:2:") for line in result.details)


def test_no_comment_silences_an_unsafe_call() -> None:
    text = (
        "// biome-ignore lint/security/noGlobalEval: wanted\n"
        "export const run = (text: string) => eval(text);\n"
    )
    assert result_of("lint", project(**{"src/run.ts": text})).outcome is CheckOutcome.PASSED
    result = result_of("code-scan", project(**{"src/run.ts": text}))
    assert result.outcome is CheckOutcome.FAILED
    assert result.details[0].startswith("src/run.ts:2:38: lint/security/noGlobalEval")


def test_the_project_cannot_choose_the_rules() -> None:
    off = '{"linter": {"enabled": false}, "files": {"includes": []}}'
    bad = project(
        **{"src/run.ts": "export const run = (t: string) => eval(t);\n", "biome.json": off}
    )
    assert result_of("lint", bad).outcome is CheckOutcome.FAILED
    assert result_of("code-scan", bad).outcome is CheckOutcome.FAILED


def test_python_files_beside_it_are_judged_too() -> None:
    result = result_of("code-scan", project(**{"tool.py": "eval(input())\nexec('x')\n"}))
    assert result.outcome is CheckOutcome.FAILED
    assert result.tool.startswith("biome-security ") and "ruff-s" in result.tool

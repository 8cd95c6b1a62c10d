"""Tools that give no proper answer: what could not be checked never passes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.errors import CouldNotCheck
from pipeline.machine.process import Completed
from pipeline.tools import helm, kubeconform, kustomize

DONE = Completed(0, b"", b"")
ONE = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"


@pytest.mark.parametrize(
    ("answer", "exit_code"),
    [
        (b"", 0),
        (b"{}", 0),
        (b"null", 0),
        (b'{"resources": []}', 1),
        (b'{"resources": []}', 2),
        (b'{"resources": [{"kind": "A", "name": "a", "status": "statusValid"}]}', 137),
    ],
)
def test_a_failing_kubeconform_is_could_not_check(
    answer: bytes, exit_code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    completed = DONE
    done = replace(completed, stdout=answer, exit_code=exit_code)
    monkeypatch.setattr(kubeconform, "run_tool_confined", lambda *_, **__: done)
    with pytest.raises(CouldNotCheck):
        kubeconform.run_kubeconform(ONE, file="x")


def test_an_object_that_kubeconform_does_not_report_was_not_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer = b'{"resources": [{"kind": "ConfigMap", "name": "a", "status": "statusValid"}]}'
    done = replace(DONE, stdout=answer)
    monkeypatch.setattr(kubeconform, "run_tool_confined", lambda *_, **__: done)
    assert kubeconform.run_kubeconform(ONE, file="x") == ()
    [finding] = kubeconform.run_kubeconform(ONE + b"---\n" + ONE, file="x")
    assert (finding.code, finding.message) == (
        "manifest-not-checked",
        "1 of 2 objects were checked",
    )


def test_findings_of_kubeconform_have_one_order() -> None:
    manifests = b"---\n".join(
        f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: m{n}}}\nevil: 1\n".encode()
        for n in range(30)
    )
    first = kubeconform.run_kubeconform(manifests, file="x")
    assert len(first) == 30
    assert list(first) == sorted(first, key=lambda f: (f.location.file, f.message))
    assert kubeconform.run_kubeconform(manifests, file="x") == first


def test_a_failing_lint_without_a_message_is_could_not_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done = replace(DONE, stderr=b"Error: broken\n", exit_code=1)
    monkeypatch.setattr(helm, "run_tool_confined", lambda *_, **__: done)
    with pytest.raises(CouldNotCheck, match="broken"):
        helm.run_helm_lint({"Chart.yaml": b"apiVersion: v2\nname: x\n"}, values={})


def test_a_folder_that_looks_like_a_host_is_not_called() -> None:
    files = {
        "env/kustomization.yaml": b"resources: [github.com/org/repo]\n",
        "env/github.com/org/repo/kustomization.yaml": b"resources: []\n",
    }
    with pytest.raises(CouldNotCheck, match="would be fetched"):
        kustomize.run_kustomize_build(files, "env")

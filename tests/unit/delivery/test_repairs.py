"""The command that syncs an application again; never one that holds more than names."""

from __future__ import annotations

import pytest

from pipeline.delivery.repairs import sync_command


@pytest.mark.parametrize(
    ("application", "command"),
    [
        ("Application argocd/acme--x--prod", "argocd app sync argocd/acme--x--prod"),
        ("Application acme--x--prod", "argocd app sync acme--x--prod"),
        (
            "Kustomization flux-system/acme--x--prod",
            "flux reconcile kustomization acme--x--prod --namespace flux-system --with-source",
        ),
        ("HelmRelease acme--x--prod", "flux reconcile helmrelease acme--x--prod --force"),
        ("Deployment a/b", ""),
        ("Application a/b; rm -rf ~", ""),
        ("Application $(reboot)", ""),
        ("Application a/b\n", ""),
        ("Application --help", ""),
        ("acme--x--prod", ""),
        ("", ""),
    ],
)
def test_each_kind_has_its_command(application: str, command: str) -> None:
    assert sync_command(application) == command

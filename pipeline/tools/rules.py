"""Rules judged by a tool: schemas of manifests."""

from __future__ import annotations

from pipeline.diagnostics import Rule, Subject, register

_SERVICE = """apiVersion: v1
kind: Service
metadata:
  name: order-router
  namespace: tenant-acme-dev-cust
  labels:
    app.kubernetes.io/name: order-router
    app.kubernetes.io/instance: order-router
    ameide.io/environment: dev
    ameide.io/primitive: order-router
    ameide.io/tenant-kind: shared
    ameide.io/tenant-id: acme
    ameide.io/tier: backend
    ameide.io/cost-centre: CC-1042
spec:
  selector: {app.kubernetes.io/name: order-router, app.kubernetes.io/instance: order-router}
  ports: [{port: 80, %s: 8080}]
"""

MANIFEST_SCHEMA = register(
    Rule(
        id="manifest-schema",
        summary="Every rendered object strictly matches its Kubernetes version's schema.",
        why="the cluster drops or refuses unknown fields, after the approval",
        fix="fix the chart's template; the message names the field",
        subject=Subject.MANIFEST,
        fails=_SERVICE % "targetPrt",
        passes=_SERVICE % "targetPort",
    )
)
MANIFEST_NOT_CHECKED = register(
    Rule(
        id="manifest-not-checked",
        summary="Every rendered object was validated against a schema; none was skipped.",
        why="an object without a schema was not checked",
        fix="use a kind that has a schema, or give kubeconform one",
        subject=Subject.MANIFEST,
        fails=(
            "apiVersion: example.com/v1\nkind: Unheard\n"
            "metadata: {name: x, namespace: tenant-acme-dev-cust}\n"
        ),
        passes=_SERVICE % "targetPort",
        could_not_check=True,
    )
)

"""Rules about the form of a request: its fields, their types and their values.

The models in `pipeline.models.requests` define what is allowed; `pipeline.documents.shapes`
explains what a model refused.
"""

from __future__ import annotations

from pipeline import API_VERSION
from pipeline.diagnostics import Rule, Subject, register

_DRAFT = f"""\
# file: tenants/acme/drafts/order-router/draft.yaml
apiVersion: {API_VERSION}
kind: PrimitiveImplementationDraft
id: acme/order-router
tenant_id: acme
primitive_type: domain
primitive_id: order-router
template_id: domain@1.0.0
code_origin: tenant
target_repo: tenant-acme-controllers
design_refs: [process-definition/order-to-cash@3]
parameters:
  description: Routes orders to the partner that can deliver first
  owner: acme-engineers
  entities: [order, route]
"""


def _rule(id: str, summary: str, *, why: str, fix: str, change: tuple[str, str]) -> Rule:
    fails = _DRAFT.replace(*change)
    return register(Rule(id, summary, why, fix, Subject.REQUEST, fails, _DRAFT))


REQUEST_UNKNOWN_FIELD = _rule(
    "request-unknown-field",
    "A request has only the fields of its kind.",
    why="a misspelt field would be ignored silently, and its default used",
    fix="correct the name, or delete the field",
    change=("code_origin: tenant", "code_origin: tenant\nrisk_teir: HIGH"),
)
REQUEST_MISSING_FIELD = _rule(
    "request-missing-field",
    "A request has every field that its kind requires.",
    why="missing values are not guessed",
    fix="add the field",
    change=("tenant_id: acme\n", ""),
)
REQUEST_WRONG_TYPE = _rule(
    "request-wrong-type",
    "Every field has a value of its type; nothing is converted.",
    why="a conversion would be a guess",
    fix="use a value of that type; quotes make a number text, `-` or brackets make a list",
    change=("primitive_id: order-router", "primitive_id: 3"),
)
REQUEST_BAD_VALUE = _rule(
    "request-bad-value",
    "Every field has an allowed value.",
    why="names, repositories and policy are derived from it",
    fix="use a value of the form in the message",
    change=("code_origin: tenant", "code_origin: contractor"),
)

"""Rules of stops: each must stop something that exists."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.diagnostics import Finding, Rule, Subject, register
from pipeline.documents import ParsedDocument
from pipeline.models.base import API_VERSION
from pipeline.models.requests import Stop
from pipeline.requests.snapshot import Snapshot

_STOP = f"""# file: environments/stop.yaml
apiVersion: {API_VERSION}
kind: Stop
stops:
  - reason: The gateway drops requests since noon
    environments: [prod]
    tenants: [{{tenant}}]
    lanes: [rollback]
"""
STOP_SCOPE_UNKNOWN = register(
    Rule(
        id="stop-scope-unknown",
        summary="A stop names environments and tenants that exist.",
        why="a stop of what is not there looks like one and stops nothing",
        fix="correct the name, or leave the field out, which stops all",
        subject=Subject.REQUEST,
        fails=_STOP.format(tenant="acme-corp"),
        passes=_STOP.format(tenant="acme"),
    )
)


def check_stop(stop: Stop, snapshot: Snapshot, document: ParsedDocument) -> Iterator[Finding]:
    """Findings for stops of tenants and environments that do not exist."""
    for number, halt in enumerate(stop.stops):
        for field, named, known in (
            ("environments", halt.environments, snapshot.environments),
            ("tenants", halt.tenants, snapshot.tenant_ids),
        ):
            for at, name in enumerate(named):
                if name not in known:
                    yield STOP_SCOPE_UNKNOWN.finding(
                        f"there is no {field[:-1]} `{name}`",
                        document.position_of(("stops", number, field, at)),
                    )

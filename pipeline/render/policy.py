"""The gates in force, for people and machines. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.characters import visible
from pipeline.gate.in_force import Gate
from pipeline.models.base import moment_of
from pipeline.models.decisions import GateItem, PolicyDocument
from pipeline.render.style import PLAIN, Style


def policy_document(commit: str, now_s: int, gates: Mapping[str, Sequence[Gate]]) -> PolicyDocument:
    """The gates of each environment, as a document."""
    items = tuple(
        GateItem(
            environment=environment,
            gate=gate.name,
            asks=visible(gate.asks),
            file=gate.location.file if gate.location else None,
            line=gate.location.line if gate.location else None,
        )
        for environment, found in gates.items()
        for gate in found
    )
    return PolicyDocument(control_commit=commit, at=moment_of(now_s), gates=items)


def render_policy(document: PolicyDocument, style: Style = PLAIN) -> str:
    """One paragraph per environment, one line per gate with its origin at the end."""
    lines: list[str] = []
    width = max((len(item.gate) for item in document.gates), default=0)
    for environment in dict.fromkeys(item.environment for item in document.gates):
        lines += (
            ["", style.paint("bold", environment)] if lines else [style.paint("bold", environment)]
        )
        for item in document.gates:
            if item.environment == environment:
                origin = f"{item.file}:{item.line}" if item.file else "default"
                told = f"  {item.gate:<{width}}  {item.asks}"
                lines.append(f"{told}  {style.paint('dim', f'[{origin}]')}")
    return "".join(f"{line}\n" for line in lines)

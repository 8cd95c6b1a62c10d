"""The findings of `doctor`, for people. Pure."""

from __future__ import annotations

from pipeline.characters import visible
from pipeline.models.outputs import DoctorReport
from pipeline.render.style import PLAIN, Style


def render_doctor(report: DoctorReport, style: Style = PLAIN) -> str:
    """One line for each thing checked; below a missing one, how to get it."""
    signs = {"ok": style.good, "missing": style.bad, "optional": style.wait}
    width = max(len(item.name) for item in report.items)
    lines = []
    for item in report.items:
        lines.append(f"{signs[item.state]} {item.name:<{width}}  {visible(item.detail)}")
        if item.state != "ok" and item.help:
            lines.append(f"  {'':<{width}}  {visible(item.help)}")
    verdict = "ready" if report.verdict == "valid" else "something is missing"
    return "".join(f"{line}\n" for line in lines) + f"{verdict}\n"

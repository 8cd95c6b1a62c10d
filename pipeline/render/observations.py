"""Reports of delivery tools, as a table with what was promoted. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.characters import visible
from pipeline.gate.running import Running
from pipeline.models.evidence import Observation
from pipeline.plan.sightings import JudgedReport
from pipeline.render.style import PLAIN, Style, counted, short_digest, shown_moment, table

_HEAD = ("DRAFT", "ENVIRONMENT", "HEALTH", "SYNC", "RUNS", "SEEN", "NOTE")


def render_sightings(judged: Sequence[JudgedReport], foreign: int, style: Style = PLAIN) -> str:
    """One line per report: health, what runs, when it was seen, and a note.

    Only a healthy release that runs as promoted has a tick.
    """
    listed = sorted(judged, key=_place)
    head, *rows = table([_HEAD, *(_row(item) for item in listed)])
    marks = [f"{_mark(item, style)} {row}" for item, row in zip(listed, rows, strict=True)]
    lines = [f"  {style.paint('dim', head)}", *marks]
    if not listed:
        lines = ["nothing of the platform's is reported"]
    if foreign:
        lines.append(f"  {counted(foreign, 'other object')} left alone")
    return "".join(f"{line}\n" for line in lines)


def _place(item: JudgedReport) -> tuple[str, ...]:
    return item.told.draft or "~", item.told.environment, item.told.application


def _row(item: JudgedReport) -> tuple[str, ...]:
    known, told = item.known, item.told
    whose = visible(told.draft or told.application)
    return (
        whose or "-",
        visible(told.environment) or "-",
        known.health,
        known.sync,
        _images(told),
        shown_moment(told.observed_at),
        visible(_note(item)),
    )


def _mark(item: JudgedReport, style: Style) -> str:
    record = item.record
    if record is not None and item.known.is_healthy_as(record.release.digest):
        return style.good
    is_bad = item.findings or item.known.health in ("Degraded", "Missing")
    return style.bad if is_bad else style.wait


def _images(told: Observation) -> str:
    if told.digest:
        return short_digest(told.digest)
    return counted(len(told.images), "image") if told.images else "-"


def _note(item: JudgedReport) -> str:
    if item.record is None:
        return "no fact knows it"
    if item.known.message:
        return item.known.message
    return Running.seen(item.known, item.record.release.digest).describe()

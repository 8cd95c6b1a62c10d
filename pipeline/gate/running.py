"""Rules that compare the images seen to run with the sealed one. Pure, and quick to import.

`status` reads those images from plain values, a run from a report; both call `check_running`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.characters import visible
from pipeline.delivery.repairs import sync_command
from pipeline.diagnostics import Finding, Location, Rule, Subject, register

if TYPE_CHECKING:
    from pipeline.models.evidence import Observation  # slow to import; `status` does not need it

_BY_DIGEST = "@sha256:"
RUNNING_DIGEST_DIFFERS = register(
    Rule(
        id="running-digest-differs",
        summary="What runs is the image that was sealed.",
        why="another image was never checked or approved for this environment",
        fix="have the delivery tool sync it again; if it comes back, find who changes what is "
        "live; to run that image, promote it",
        subject=Subject.SCENARIO,
        fails="the application is synced at the sealed tree, and its pods run another digest",
        passes="its pods run the sealed digest",
    )
)
RUNNING_WITHOUT_DIGEST = register(
    Rule(
        id="running-without-digest",
        summary="Whatever runs is named by digest.",
        why="a tag can be another image tomorrow, so nobody knows what runs",
        fix="have the delivery tool sync it again; the overlay names the image by digest",
        subject=Subject.SCENARIO,
        fails="a pod runs the primitive's image by tag",
        passes="all pods run it by digest",
    )
)


@dataclass(frozen=True, slots=True)
class Running:
    """What a delivery tool saw of one promoted release: a digest, or images if it is not one."""

    draft: str
    environment: str
    sealed: str  # digest
    digest: str
    images: tuple[str, ...]
    health: str
    application: str

    @staticmethod
    def seen(observation: Observation, sealed: str) -> Running:
        """The values of an observation."""
        return Running(
            observation.draft,
            observation.environment,
            sealed,
            observation.digest or "",
            observation.images,
            observation.health,
            observation.application,
        )

    @staticmethod
    def of(promotion: Mapping[str, Any]) -> Running | None:
        """The observation of a promotion, from the plain values of a status; None if there is none.

        Raises KeyError or TypeError if it is damaged.
        """
        seen = promotion["observation"]
        if seen is None:
            return None
        return Running(
            str(seen["draft"]),
            str(seen["environment"]),
            str(promotion["release"]["digest"]),
            str(seen.get("digest") or ""),
            tuple(map(str, seen.get("images") or ())),
            str(seen["health"]),
            str(seen.get("application") or ""),
        )

    @property
    def undigested(self) -> tuple[str, ...]:
        """The images without a digest."""
        return tuple(image for image in self.images if _BY_DIGEST not in image)

    @property
    def others(self) -> tuple[str, ...]:
        """The digests that run, without the sealed one."""
        named = {image.partition("@")[2] for image in self.images if _BY_DIGEST in image}
        return tuple(sorted((named | {self.digest}) - {"", self.sealed}))

    @property
    def is_rolling_out(self) -> bool:
        """Whether another digest may still run, since the sealed one is being rolled out."""
        return self.health == "Progressing" and not self.undigested

    @property
    def repair(self) -> str:
        """How to make the sealed image run again."""
        command = sync_command(self.application)
        return f"sync it again: `{command}`" if command else "have the delivery tool sync it again"

    def describe(self) -> str:
        """What runs in place of the sealed image, in a few words; empty if nothing does."""
        if self.undigested:
            return f"runs {', '.join(map(visible, self.undigested))} without a digest"
        if len(self.images) > 1:
            also = "while rolling out" if self.is_rolling_out else "at once"
            return f"runs {len(self.images)} digests {also}"
        if not self.others:
            return ""
        return f"runs {', '.join(d[:19] for d in self.others)}…, not what was promoted"


def check_running(running: Running) -> Iterator[Finding]:
    """Findings about the images that run."""
    at = Location(f"{visible(running.draft)}:{visible(running.environment)}")
    if running.undigested:
        shown = ", ".join(f"`{visible(image)}`" for image in running.undigested)
        yield RUNNING_WITHOUT_DIGEST.finding(f"{shown} runs", at, help=running.repair)
    if running.others and not running.is_rolling_out:
        runs = ", ".join(running.others)
        help = (
            f"{running.repair}; if it comes back, find who changes what is live; or promote "
            "that image"
        )
        message = f"{runs} runs, sealed is {running.sealed}"
        yield RUNNING_DIGEST_DIFFERS.finding(message, at, help=help)

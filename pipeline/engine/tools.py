"""The tools of an engine: given when it is made, and never changed afterwards."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.machine.clock import Clock, read_clock
from pipeline.plan.ports import FaultHook, RunChecksPort, no_faults
from pipeline.templating import Template
from pipeline.tools.bundlecheck import verify_bundle
from pipeline.world.hydrate import Hydrator
from pipeline.world.patches import ScanSecrets
from pipeline.world.promotions import Verify

if TYPE_CHECKING:
    from pipeline.images.port import Builder
    from pipeline.requests.snapshot import Snapshot


@dataclass(frozen=True)
class Tools:
    """The tools and stores of one machine; tests choose doubles."""

    make_builder: Callable[[Snapshot], Builder]
    run_checks: RunChecksPort
    scan_secrets: ScanSecrets
    templates: Mapping[str, Template]
    hydrator: Hydrator = field(default_factory=Hydrator)
    verify: Verify = verify_bundle
    faults: FaultHook = no_faults
    clock: Clock = read_clock
    run_id: str = field(default_factory=lambda: os.environ.get("PIPELINE_RUN_ID", ""))

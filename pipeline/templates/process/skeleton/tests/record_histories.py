"""Records `tests/histories` from the Temporal server at TEMPORAL_ADDRESS: `make history`."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from stories import STORIES, tell


async def main() -> None:
    """Writes one file for each story."""
    address = os.environ["TEMPORAL_ADDRESS"]
    namespace = os.environ.get("TEMPORAL_NAMESPACE", "default")
    folder = Path(__file__).parent / "histories"
    for story in STORIES:
        _, history, _ = await tell(story, address, namespace, f"{story.name}-{time.time_ns()}")
        (folder / f"{story.name}.json").write_text(history.to_json() + "\n")


if __name__ == "__main__":
    asyncio.run(main())

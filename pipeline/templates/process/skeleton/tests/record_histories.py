"""Records `tests/histories` from the Temporal server at TEMPORAL_ADDRESS: `make history`."""

from __future__ import annotations

import asyncio
import json
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
        document = _without_machines(json.loads(history.to_json()))
        (folder / f"{story.name}.json").write_text(json.dumps(document, indent=1) + "\n")


def _without_machines(value: object) -> object:
    """The history without the names of machines, processes and files that made it."""
    if isinstance(value, list):
        return [_without_machines(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("kind") == "TASK_QUEUE_KIND_STICKY":
        value = {**value, "name": "recorder"}
    replaced = {"identity": "recorder", "stackTrace": ""}
    return {key: replaced.get(key, _without_machines(item)) for key, item in value.items()}


if __name__ == "__main__":
    asyncio.run(main())

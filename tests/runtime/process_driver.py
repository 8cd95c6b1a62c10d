"""Drives the processes of a rendered project from inside its environment: JSON lines in and out.

Run as `python process_driver.py PACKAGE`; each line in is `{"do": NAME, ...arguments}`, each line
out `{"ok": ANSWER}` or `{"error": TYPE, "type": KIND}`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import json
import sys
from typing import Any

from primitive_sdk.keys import JwksKeys
from primitive_sdk.settings import read_settings
from temporalio.client import WorkflowFailureError


async def main(package: str) -> None:
    starter = importlib.import_module(f"{package}.starter")
    worker = importlib.import_module(f"{package}.worker")
    settings = read_settings(importlib.import_module(f"{package}.settings").WorkerSettings)
    client = await starter.connect(settings)
    verifier = worker.verifier_of(settings, JwksKeys(settings.token_jwks_url))
    processes = starter.ProcessStarter(client, verifier, settings)
    handles: dict[str, Any] = {}

    async def do(line: dict[str, Any]) -> object:
        kind, key = line.pop("do"), line["key"]
        match kind:
            case "start":
                queue = line.pop("queue") or settings.task_queue
                to = dataclasses.replace(settings, task_queue=queue)
                handles[key] = await starter.ProcessStarter(client, verifier, to).start(**line)
                return handles[key].id
            case "result":
                return dataclasses.asdict(await asyncio.wait_for(handles[key].result(), 40))
            case "describe":
                found = await handles[key].describe()
                return {
                    "memo": await found.memo(),
                    "attributes": {k: list(v) for k, v in found.search_attributes.items()},
                }
            case "cancel-in-temporal":
                return await handles[key].cancel()
            case "approve" | "cancel":
                return await getattr(processes, kind)(**line)
            case _:
                return dataclasses.asdict(await processes.progress(**line))

    loop = asyncio.get_running_loop()
    while text := await loop.run_in_executor(None, sys.stdin.readline):
        try:
            answer: dict[str, object] = {"ok": await do(json.loads(text))}
        except WorkflowFailureError as error:
            cause = error.cause
            answer = {"error": type(cause).__name__, "type": getattr(cause, "type", "")}
        except Exception as error:
            answer = {"error": type(error).__name__, "type": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))

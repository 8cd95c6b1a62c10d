"""Request files parsed once per process, by path and blob id, within a bound."""

from __future__ import annotations

from pipeline.diagnostics import Finding
from pipeline.machine.lru import LruCache
from pipeline.requests.kinds import parse_request
from pipeline.requests.snapshot import ReadRequest

Parsed = tuple[ReadRequest | None, tuple[Finding, ...]]

# Bytes of YAML: some 60,000 requests of the usual 550 bytes, which take 0.3 GB once parsed. A world
# of 10,000 drafts fits several times, and a hostile push cannot exhaust memory.
MOST_BYTES = 32 * 1024**2
# The least that an entry counts, however small its file.
_LEAST_BYTES = 512


class ParsedRequests:
    """The results of parsing request files."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._kept = LruCache[tuple[str, str], tuple[Parsed, int]](most_bytes, lambda v: v[1])

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, path: str, blob: str) -> Parsed | None:
        """The kept result for this file; None if it is not parsed yet."""
        kept = self._kept.get((path, blob))
        return kept[0] if kept else None

    def parse(self, path: str, blob: str, content: bytes) -> Parsed:
        """The result of parsing this file, kept for the next time."""
        parsed = self.find(path, blob)
        if parsed is None:
            parsed = parse_request(path, content)
            self._kept.put((path, blob), (parsed, max(len(content), _LEAST_BYTES)))
        return parsed


PARSED = ParsedRequests()

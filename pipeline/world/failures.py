"""The failures of one look at the world."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipeline.errors import Failure, failure_of


@dataclass
class Failures:
    """Failures of a look, in order; each concerns one subject, and the others go on."""

    found: list[Failure] = field(default_factory=list)

    def add(self, subject: str, error: Exception) -> None:
        """Record that a draft, repository or tenant could not be read."""
        self.found.append(failure_of(subject, error))

    @property
    def count(self) -> int:
        """How many there are so far."""
        return len(self.found)

    def since(self, count: int) -> tuple[Failure, ...]:
        """Those after the first `count`, each once."""
        return tuple(dict.fromkeys(self.found[count:]))

"""Whole processes, measured several times: wall time, processor time, peak memory."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


class BenchFailure(Exception):
    """A measured process did not do its work; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of one process, its children's processor time and memory included."""

    seconds: float
    cpu_seconds: float
    peak_mb: float  # of the largest process


@dataclass(frozen=True, slots=True)
class Timing:
    """Several runs of the same process."""

    samples: tuple[Sample, ...]

    @property
    def best_s(self) -> float:
        """The fastest run: the one that other processes disturbed least."""
        return min(s.seconds for s in self.samples)

    @property
    def median_s(self) -> float:
        """The median run."""
        return statistics.median(s.seconds for s in self.samples)

    @property
    def cpu_s(self) -> float:
        """The least processor time, user and system, children included."""
        return min(s.cpu_seconds for s in self.samples)

    @property
    def peak_mb(self) -> float:
        """The most memory that one process of any run held."""
        return max(s.peak_mb for s in self.samples)


def run_process(
    command: Sequence[str],
    *,
    cwd: Path = ROOT,
    environment: Mapping[str, str] | None = None,
    accept: Sequence[int] = (0,),
) -> Sample:
    """One run of a process. Raises BenchFailure if it ends with another code.

    A child starts with the peak memory of its parent, so the caller must stay small: work that
    needs memory runs in separate processes.
    """
    with (Path(os.devnull)).open("wb") as null:
        begun = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=null,
            stderr=subprocess.PIPE,
        )
        assert process.stderr is not None  # started with a pipe
        said = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begun
    process.stderr.close()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in accept:
        words = " ".join(command)
        text = said.decode("utf-8", "replace")[-2000:]
        raise BenchFailure(f"exit code {process.returncode}: {words}\n{text}")
    # ru_maxrss is in KiB on Linux and in bytes on macOS.
    unit = 1024 * 1024 if sys.platform == "darwin" else 1024
    return Sample(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit)


def measure(
    command: Sequence[str],
    *,
    times: int,
    cwd: Path = ROOT,
    environment: Mapping[str, str] | None = None,
    prepare: Callable[[], None] | None = None,
    warm_up: bool = True,
) -> Timing:
    """Several runs of one process, `prepare` before each; a first run warms up unmeasured."""
    samples = []
    for number in range(times + warm_up):
        if prepare is not None:
            prepare()
        sample = run_process(command, cwd=cwd, environment=environment)
        if number or not warm_up:
            samples.append(sample)
    return Timing(tuple(samples))

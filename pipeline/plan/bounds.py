"""Rules about size: input that a tool cannot process within its bounds is refused, once.

The bounds are those of the sandbox (`pipeline.sandbox.limits`) and of sources
(`pipeline.sandbox.sources`). Exceeding one is the input's fault: a retry ends the same way.
"""

from __future__ import annotations

from pipeline.diagnostics import Rule, Subject, register

PATCH_OVER_BOUND = register(
    Rule(
        id="patch-over-bound",
        summary="The secret scan can finish on the files that a patch writes.",
        why="a scan that never ends would block its draft in every run",
        fix="leave out nested archives and files that unpack to far more than their size",
        subject=Subject.SCENARIO,
        fails="an archive of archives that unpacks to gigabytes",
        passes="an archive of one text file",
    )
)
SOURCE_OVER_BOUND = register(
    Rule(
        id="source-over-bound",
        summary="A primitive's folder has at most 20,000 files and 128 MiB, with plain names.",
        why="checks and builds hold it in memory and write it to disk",
        fix="keep large files elsewhere; each part of a path has at most 255 bytes",
        subject=Subject.SCENARIO,
        fails="a file whose name has 256 characters",
        passes="the folder of the golden template",
    )
)
BUILD_OVER_BOUND = register(
    Rule(
        id="build-over-bound",
        summary="An image builds within 50 minutes and has at most 2 GiB.",
        why="a build that never ends would start again in every run",
        fix="shorten the Dockerfile's steps or shrink the image with a patch, then request the "
        "promotion of the new commit",
        subject=Subject.SCENARIO,
        fails="a Dockerfile whose `RUN` step never ends",
        passes="the Dockerfile of the golden template",
    )
)
BUILD_FAILED = register(
    Rule(
        id="build-failed",
        summary="Every step of the Dockerfile succeeds.",
        why="a step that fails would fail again in every run",
        fix="fix the Dockerfile or the lock file with a patch, then request the promotion of the "
        "new commit; if only the network failed, request the same promotion again",
        subject=Subject.SCENARIO,
        fails="a Dockerfile with `RUN false`",
        passes="the Dockerfile of the golden template",
    )
)

#!/bin/sh
# All checks of the project, quick ones first, each with its time; the tests come last, so that
# their closing line is the last line. `--lint-only` leaves the tests out.
# A failed check does not keep the other quick ones from running, only the tests.
set -u
cd "$(dirname "$0")/.." || exit

bin=$PWD/.venv/bin
PIPELINE_TOOLS=$PWD/.tools
PATH=$PIPELINE_TOOLS/bin:$PATH
export PATH PIPELINE_TOOLS

failed=
check() { # check NAME COMMAND...
    name=$1
    shift
    begun=$(date +%s)
    if told=$("$@" 2>&1); then verdict=ok; else
        verdict=FAILED
        failed="$failed $name"
        printf '%s\n' "$told"
    fi
    printf '%-8s %-6s %3d s\n' "$name" "$verdict" "$(($(date +%s) - begun))"
}

check format "$bin/ruff" format --check
check lint "$bin/ruff" check
check types "$bin/mypy"
check imports "$bin/lint-imports"

if [ -n "$failed" ]; then
    printf 'failed:%s\n' "$failed" >&2
    exit 1
fi
if [ "${1-}" = --lint-only ]; then exit 0; fi
exec "$bin/python" -m pytest -n 3 -q

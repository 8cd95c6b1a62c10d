#!/bin/sh
# Writes the hash-pinned requirement files anew: newest versions that the inputs allow, for every
# platform and every Python from 3.11 on. Names no index: pip's own configuration says where from.
# With a package name as argument (`tools/lock.sh rich`) only that one moves.
set -eu
cd "$(dirname "$0")/.."

venv=.tools/lock-venv
if [ ! -x "$venv/bin/uv" ]; then
    .venv/bin/python -m venv "$venv"
    if [ -f requirements/lock.txt ]; then
        "$venv/bin/pip" install -q --no-deps --require-hashes -r requirements/lock.txt
    else
        "$venv/bin/pip" install -q uv
    fi
fi

lock() { # lock INPUT OUTPUT [uv options]
    input=$1 output=$2
    shift 2
    printf '%s\n' "$output"
    cp "$output" "$output.new" 2>/dev/null || : >"$output.new"
    "$venv/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
        --output-file "$output.new" "$@" "$input" >/dev/null
    { printf '# Written by `make lock` from %s. Do not edit.\n' "$input"; cat "$output.new"; } >"$output.tmp"
    rm "$output.new"
    mv "$output.tmp" "$output"
}

if [ $# -gt 0 ]; then upgrade="--upgrade-package $1"; else upgrade=--upgrade; fi
# shellcheck disable=SC2086 # two words on purpose
{
    lock pyproject.toml requirements/runtime.txt $upgrade
    lock requirements/dev.in requirements/dev.txt $upgrade
    lock requirements/go.in requirements/go.txt --no-deps $upgrade
    lock requirements/schemas.in requirements/schemas.txt --no-deps $upgrade
    lock requirements/lock.in requirements/lock.txt $upgrade
    lock bench/requirements.in bench/requirements.txt $upgrade
}

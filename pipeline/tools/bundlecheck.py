"""bundlecheck: verifies a bundle's signature and names its signer, with Sigstore's own code.

One path for keys and for workflows' certificates (`tools/bundlecheck`, on sigstore-go). It looks
nothing up: its trust comes from `environments/signers.yaml`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache

from pipeline.errors import CouldNotCheck, OverBound
from pipeline.machine.versions import find_tool
from pipeline.models.provenance import Verified
from pipeline.models.requests import Signers
from pipeline.models.signers import key_hint
from pipeline.sandbox.tools import run_tool_confined

# As large as a request file may be: a bundle may lie in one.
MAX_BUNDLE_BYTES = 1024 * 1024


# One entry per build and statement that a run decides on. Those of builds have some kilobytes; at
# `MAX_BUNDLE_BYTES` each it would be 512 MiB.
@lru_cache(maxsize=512)
def verify_bundle(bundle: str, signers: str) -> Verified:
    """The result for one bundle; `signers` is the model as JSON. Raises CouldNotCheck."""
    return verify_bundles([(bundle, Signers.model_validate_json(signers))])[0]


def verify_bundles(asked: Sequence[tuple[str, Signers]]) -> tuple[Verified, ...]:
    """The result for each bundle, with the signers given for it. Raises CouldNotCheck."""
    trusts: list[dict[str, object]] = []
    bundles: list[dict[str, object]] = []
    told: dict[int, Verified] = {}
    for number, (bundle, signers) in enumerate(asked):
        parsed = _parsed(bundle)
        if parsed is None:
            told[number] = Verified(problem="it is not a JSON object", unreadable=True)
            continue
        trust = _trust_of(signers)
        if trust not in trusts:
            trusts.append(trust)
        bundles.append({"bundle": parsed, "trust": trusts.index(trust)})
    answers = iter(_answers(trusts, bundles))
    for number, (_, signers) in enumerate(asked):
        if number not in told:
            told[number] = _verified(next(answers), signers)
    return tuple(told[number] for number in range(len(asked)))


def _parsed(bundle: str) -> dict[str, object] | None:
    if len(bundle) > MAX_BUNDLE_BYTES:
        return None
    try:
        parsed = json.loads(bundle)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


def _trust_of(signers: Signers) -> dict[str, object]:
    return {
        "keys": {key_hint(s.public_key): s.public_key for s in signers.signers if s.public_key},
        "workflows": {
            s.name: {"san": s.workflow.uri, "issuer": s.workflow.issuer}
            for s in signers.signers
            if s.workflow
        },
        "roots": list(signers.trusted_roots),
    }


def _answers(
    trusts: list[dict[str, object]], bundles: list[dict[str, object]]
) -> list[dict[str, object]]:
    """An answer for each bundle; one that exceeds a bound does not stop the others."""
    try:
        return _ask(trusts, bundles) if bundles else []
    except OverBound as error:
        if len(bundles) == 1:
            return [{"problem": error.message, "unreadable": True}]
        half = len(bundles) // 2
        return _answers(trusts, bundles[:half]) + _answers(trusts, bundles[half:])


def _ask(
    trusts: list[dict[str, object]], bundles: list[dict[str, object]]
) -> list[dict[str, object]]:
    asked = json.dumps({"trusts": trusts, "bundles": bundles}).encode()
    done = run_tool_confined(find_tool("bundlecheck"), (), files={}, stdin=asked)
    said = done.stderr.decode("utf-8", "replace").strip()[:300]
    if done.exit_code != 0:
        raise CouldNotCheck(
            f"provenance could not be verified: {said}",
            help="look at `environments/signers.yaml`: a key or a root of it cannot be used",
        )
    try:
        answers = json.loads(done.stdout)
    except ValueError as error:
        raise CouldNotCheck(f"bundlecheck gave no answer: {said}") from error
    if not isinstance(answers, list) or len(answers) != len(bundles):
        raise CouldNotCheck("bundlecheck did not judge every bundle")
    return answers


def _verified(answer: dict[str, object], signers: Signers) -> Verified:
    problem, signer = answer.get("problem"), answer.get("signer")
    if problem or not signer:
        unreadable = answer.get("unreadable") is True
        return Verified(problem=str(problem or "no signer was told"), unreadable=unreadable)
    for known in signers.signers:
        if known.name == signer or (known.public_key and key_hint(known.public_key) == signer):
            statement = json.dumps(answer.get("statement"), sort_keys=True).encode()
            return Verified(signer=known.name, statement=statement)
    return Verified(problem=f"`{signer}` is not a signer that was asked about")

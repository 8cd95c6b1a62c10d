"""The platform's API as a process sees it: definitions, and the actions of domains.

Answers are small by contract; a larger one is refused, since it would go into the history.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Final
from urllib.parse import quote

import httpx
from primitive_sdk.outbound import TenantClient
from temporalio.exceptions import ApplicationError

from .contract import PAYLOAD_TOO_LARGE, REFUSED, StepCall, StepResult
from .definition import parse_reference

MAX_ANSWER_BYTES: Final = 64 * 1024
MAX_REFERENCE_LENGTH: Final = 500
_MAX_WAIT_S: Final = 300
# What may well work a moment later; every other 4xx is the platform's last word.
_TRANSIENT: Final = frozenset({408, 425, 429})


class PlatformApi:
    """Calls the platform under the identity that is bound while it is called."""

    def __init__(self, http: TenantClient, base_url: str) -> None:
        self._http = http
        self._base_url = base_url.rstrip("/")

    async def read_definition(self, reference: str) -> object:
        """The document of a process definition, unchecked."""
        name, version = parse_reference(reference)
        return await self._call("GET", f"/v1/process-definitions/{quote(name)}/versions/{version}")

    async def perform(self, call: StepCall) -> StepResult:
        """What a domain's action answered; the key makes it happen once, if sent often."""
        domain, _, action = call.action.partition("/")
        answer = await self._call(
            "POST",
            f"/v1/domains/{quote(domain, safe='')}/actions/{quote(action, safe='')}",
            body={"subject": call.subject},
            headers={"Idempotency-Key": call.idempotency_key},
        )
        reference = answer.get("reference", "") if isinstance(answer, dict) else None
        if not isinstance(reference, str) or len(reference) > MAX_REFERENCE_LENGTH:
            raise ApplicationError(
                f"{call.action} answered without a short `reference`",
                type=REFUSED,
                non_retryable=True,
            )
        return StepResult(reference)

    async def _call(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        headers: dict[str, str] | None = None,
    ) -> object:
        # Neither body nor token goes into a message: failures are kept in the history.
        what = f"{method} {path}"
        content = bytearray()
        try:
            async with self._http.stream(
                method, f"{self._base_url}{path}", json=body, headers=headers
            ) as answer:
                async for part in answer.aiter_bytes():
                    content += part
                    if len(content) > MAX_ANSWER_BYTES:
                        break
        except httpx.HTTPError as error:
            raise ApplicationError(f"{what}: {type(error).__name__}", type="unreachable") from error
        if answer.status_code in _TRANSIENT or answer.status_code >= 500:
            raise ApplicationError(
                f"{what}: status {answer.status_code}",
                type="unavailable",
                next_retry_delay=_asked_delay(answer),
            )
        if not answer.is_success:
            raise ApplicationError(
                f"{what}: status {answer.status_code}", type=REFUSED, non_retryable=True
            )
        if len(content) > MAX_ANSWER_BYTES:
            raise ApplicationError(
                f"{what}: answer of more than {MAX_ANSWER_BYTES} bytes",
                type=PAYLOAD_TOO_LARGE,
                non_retryable=True,
            )
        try:
            return json.loads(content) if content else {}
        except ValueError as error:
            raise ApplicationError(
                f"{what}: the answer is not JSON", type=REFUSED, non_retryable=True
            ) from error


def _asked_delay(answer: httpx.Response) -> timedelta | None:
    """How long the API asks to wait, in whole seconds up to five minutes (RFC 9110 §10.2.3)."""
    text = answer.headers.get("retry-after", "")
    if not (text.isascii() and text.isdigit() and len(text) < 9):
        return None
    return timedelta(seconds=min(int(text), _MAX_WAIT_S))

"""Holds what goes into a process's history to a size that Temporal carries well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from temporalio.api.common.v1 import Payload
from temporalio.converter import DataConverter, PayloadCodec
from temporalio.exceptions import ApplicationError

from .contract import PAYLOAD_TOO_LARGE

# Temporal warns from 256 KiB and refuses from 2 MiB a payload, and 50 MiB a history; a definition
# of 50 steps has about 20 KiB.
MAX_PAYLOAD_BYTES: Final = 128 * 1024


class SizeLimit(PayloadCodec):
    """Lets payloads through as they are, and refuses large ones where they are made."""

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """The same payloads. Raises ApplicationError when one is too large."""
        for payload in payloads:
            if len(payload.data) > MAX_PAYLOAD_BYTES:
                raise ApplicationError(
                    f"a payload of {len(payload.data)} bytes; at most {MAX_PAYLOAD_BYTES} are kept",
                    type=PAYLOAD_TOO_LARGE,
                    non_retryable=True,
                )
        return list(payloads)

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """The same payloads."""
        return list(payloads)


def data_converter() -> DataConverter:
    """How starter and worker write values: as JSON, and small."""
    return replace(DataConverter.default, payload_codec=SizeLimit())

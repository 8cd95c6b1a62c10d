"""What is too large for a history is refused where it is made."""

from __future__ import annotations

import asyncio

import pytest
from temporalio.exceptions import ApplicationError

from process_${{ values.primitive_id | replace('-', '_') }}.contract import PAYLOAD_TOO_LARGE, Progress, State
from process_${{ values.primitive_id | replace('-', '_') }}.contract import StepProgress
from process_${{ values.primitive_id | replace('-', '_') }}.payloads import MAX_PAYLOAD_BYTES, data_converter


def test_small_values_come_back_as_they_were() -> None:
    progress = Progress("process-definition/a@1", State.DONE, [StepProgress("one", State.DONE)])

    async def story() -> object:
        converter = data_converter()
        [value] = await converter.decode(await converter.encode([progress]), [Progress])
        return value

    assert asyncio.run(story()) == progress


def test_a_large_value_is_refused() -> None:
    with pytest.raises(ApplicationError) as caught:
        asyncio.run(data_converter().encode(["x" * MAX_PAYLOAD_BYTES]))
    assert caught.value.type == PAYLOAD_TOO_LARGE
    assert caught.value.non_retryable

"""What is too large for a history is refused where it is made."""

from __future__ import annotations

import asyncio

import pytest
from temporalio.exceptions import ApplicationError

from process_${{ values.primitive_id | replace('-', '_') }} import contract, payloads

DONE = contract.State.DONE
STEP = contract.StepProgress("one", DONE)


def test_small_values_come_back_as_they_were() -> None:
    progress = contract.Progress("process-definition/a@1", DONE, [STEP])

    async def story() -> object:
        converter = payloads.data_converter()
        [value] = await converter.decode(await converter.encode([progress]), [contract.Progress])
        return value

    assert asyncio.run(story()) == progress


def test_a_large_value_is_refused() -> None:
    with pytest.raises(ApplicationError) as caught:
        asyncio.run(payloads.data_converter().encode(["x" * payloads.MAX_PAYLOAD_BYTES]))
    assert caught.value.type == contract.PAYLOAD_TOO_LARGE
    assert caught.value.non_retryable

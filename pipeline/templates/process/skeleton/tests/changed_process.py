"""A workflow that calls itself the process, and does something else first."""

from __future__ import annotations

import asyncio

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from process_${{ values.primitive_id | replace('-', '_') }} import contract
    from process_${{ values.primitive_id | replace('-', '_') }}.names import PRIMITIVE
    from process_${{ values.primitive_id | replace('-', '_') }}.workflow import Process


@workflow.defn(name=PRIMITIVE)
class ChangedProcess(Process):
    """The process, after a pause that the recorded one did not make."""

    @workflow.run
    async def run(self, given: contract.ProcessInput) -> contract.Progress:
        """As the process."""
        await asyncio.sleep(1)
        return await super().run(given)

    @workflow.signal
    def approve(self, decision: contract.Decision) -> None:
        """As the process."""
        super().approve(decision)

    @workflow.signal
    def cancel(self, decision: contract.Decision) -> None:
        """As the process."""
        super().cancel(decision)

    @workflow.query
    def progress(self) -> contract.Progress:
        """As the process."""
        return super().progress()

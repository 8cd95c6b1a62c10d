"""The workflow: does the steps of a definition in order, and undoes them when it is called off.

Deterministic: it reads no clock, file, network or random number but through `workflow`. A change
here must still replay `tests/histories`, or be put behind `workflow.patched`, since processes that
run at a deployment are replayed by the new code.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    CancelledError,
    is_cancelled_exception,
)

with workflow.unsafe.imports_passed_through():
    from .activities import Activities
    from .contract import (
        APPROVAL_TIMED_OUT,
        DEFINITION_INVALID,
        PAYLOAD_TOO_LARGE,
        REFUSED,
        STEP_FAILED,
        TENANT_MISMATCH,
        TENANT_MISSING,
        UNDO_INCOMPLETE,
        Decision,
        ProcessInput,
        Progress,
        State,
        StepCall,
        StepProgress,
        StepResult,
    )
    from .definition import ProcessDefinition, Step
    from .names import PRIMITIVE

# How often is bounded by time alone (schedule-to-close): a tenant that has to wait for its turn
# must not use up its tries.
_RETRIES = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(seconds=30),
    non_retryable_error_types=[
        TENANT_MISMATCH,
        TENANT_MISSING,
        DEFINITION_INVALID,
        REFUSED,
        PAYLOAD_TOO_LARGE,
    ],
)
# Signals come from outside: before the definition tells what counts, so many are kept.
_MAX_EARLY_APPROVALS = 100


class _CalledOff(Exception):
    """Somebody cancelled the process by the signal."""


@workflow.defn(name=PRIMITIVE)
class Process:
    """One run of the process for one subject of one tenant."""

    def __init__(self) -> None:
        self._definition: ProcessDefinition | None = None
        self._state = State.RUNNING
        self._steps: dict[str, StepProgress] = {}
        self._waiting_for = ""
        self._early: list[Decision] = []
        self._approved: set[str] = set()
        self._called_off_by = ""

    @workflow.run
    async def run(self, given: ProcessInput) -> Progress:
        """How it ended: done, or cancelled with its steps undone.

        Fails with the type of the reason when a step fails for good or nobody approves in time;
        what was done is undone first.
        """
        definition = await workflow.execute_activity_method(
            Activities.read_definition,
            start_to_close_timeout=timedelta(seconds=15),
            schedule_to_close_timeout=timedelta(hours=1),
            retry_policy=_RETRIES,
        )
        if definition.tenant_id != given.tenant_id:
            raise ApplicationError(
                "the definition belongs to another tenant",
                type=TENANT_MISMATCH,
                non_retryable=True,
            )
        self._definition = definition
        for step in definition.steps:
            self._steps[step.name] = StepProgress(step.name, State.PENDING)
        for decision in self._early:
            self._count(decision, definition)
        try:
            for step in definition.steps:
                await self._wait_for_approval(step)
                await self._perform(step, given)
        except _CalledOff:
            await self._undo_all(definition, given)
            self._state = State.CANCELLED
        except asyncio.CancelledError:
            # Temporal's own request to cancel: undo as well, and then be cancelled.
            await self._undo_all(definition, given)
            self._state = State.CANCELLED
            raise
        except ActivityError as error:
            # A step that was cancelled from outside while it ran ends as this error, too.
            await self._undo_all(definition, given)
            if is_cancelled_exception(error):
                self._state = State.CANCELLED
                raise CancelledError("cancelled while a step ran") from error
            self._state = State.FAILED
            raise ApplicationError(
                "a step failed; the steps before it are undone",
                type=STEP_FAILED,
                non_retryable=True,
            ) from error
        except ApplicationError:
            await self._undo_all(definition, given)
            self._state = State.FAILED
            raise
        else:
            self._state = State.DONE
        return self.progress()

    @workflow.signal
    def approve(self, decision: Decision) -> None:
        """Agrees to a step; of somebody without the step's role it changes nothing."""
        if self._definition is not None:
            self._count(decision, self._definition)
        elif len(self._early) < _MAX_EARLY_APPROVALS:
            self._early.append(decision)

    @workflow.signal
    def cancel(self, decision: Decision) -> None:
        """Calls the process off: what was begun is undone, in reverse order."""
        self._called_off_by = self._called_off_by or decision.by

    @workflow.query
    def progress(self) -> Progress:
        """How far it is."""
        return Progress(
            definition=self._definition.reference if self._definition else "",
            state=self._state,
            steps=list(self._steps.values()),
            waiting_for=self._waiting_for,
        )

    def _count(self, decision: Decision, definition: ProcessDefinition) -> None:
        for step in definition.steps:
            may = not step.approver_role or step.approver_role in decision.roles
            if step.name == decision.step and may:
                self._approved.add(step.name)

    async def _wait_for_approval(self, step: Step) -> None:
        if self._called_off_by:
            raise _CalledOff
        if not step.approval:
            return
        self._state, self._waiting_for = State.WAITING, step.name
        self._steps[step.name] = StepProgress(step.name, State.WAITING)
        try:
            await workflow.wait_condition(
                lambda: bool(self._called_off_by) or step.name in self._approved,
                timeout=timedelta(seconds=step.approval_timeout_s),
            )
        except TimeoutError as error:
            raise ApplicationError(
                "nobody approved in time", type=APPROVAL_TIMED_OUT, non_retryable=True
            ) from error
        finally:
            self._state, self._waiting_for = State.RUNNING, ""
            self._steps[step.name] = StepProgress(step.name, State.PENDING)
        if self._called_off_by:
            raise _CalledOff

    async def _perform(self, step: Step, given: ProcessInput) -> None:
        self._steps[step.name] = StepProgress(step.name, State.RUNNING)
        running = workflow.start_activity_method(
            Activities.perform,
            self._call(step.action, step, given),
            start_to_close_timeout=timedelta(seconds=step.start_to_close_s),
            schedule_to_close_timeout=timedelta(seconds=step.schedule_to_close_s),
            heartbeat_timeout=timedelta(seconds=step.heartbeat_s),
            retry_policy=_RETRIES,
            # Whether it happened has to be known before it can be undone.
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        )
        try:
            await workflow.wait_condition(lambda: running.done() or bool(self._called_off_by))
        except asyncio.CancelledError:
            running.cancel()
            await workflow.wait([running])
            raise
        if not running.done():
            running.cancel()
            await workflow.wait([running])
            raise _CalledOff
        result: StepResult = await running
        self._steps[step.name] = StepProgress(step.name, State.DONE, result.reference)

    async def _undo_all(self, definition: ProcessDefinition, given: ProcessInput) -> None:
        """Undoes what was begun, newest first; one that was begun may have happened.

        Raises ApplicationError when a step could not be undone, after trying all the others.
        """
        left = []
        for step in reversed(definition.steps):
            begun = self._steps[step.name].state
            if begun not in (State.DONE, State.RUNNING):
                continue
            if not step.undo:
                if begun is State.RUNNING:
                    self._steps[step.name] = StepProgress(step.name, State.FAILED)
                continue
            try:
                await workflow.execute_activity_method(
                    Activities.perform,
                    self._call(step.undo, step, given),
                    start_to_close_timeout=timedelta(seconds=step.start_to_close_s),
                    schedule_to_close_timeout=timedelta(seconds=step.schedule_to_close_s),
                    heartbeat_timeout=timedelta(seconds=step.heartbeat_s),
                    retry_policy=_RETRIES,
                )
            except ActivityError:
                left.append(step.name)
                self._steps[step.name] = StepProgress(step.name, State.FAILED)
            else:
                self._steps[step.name] = StepProgress(step.name, State.UNDONE)
        if left:
            self._state = State.FAILED
            raise ApplicationError(
                f"could not undo {', '.join(left)}", type=UNDO_INCOMPLETE, non_retryable=True
            )

    def _call(self, action: str, step: Step, given: ProcessInput) -> StepCall:
        info = workflow.info()
        # The run's id, not only the workflow's: a process that is begun anew does its steps anew.
        key = f"{info.workflow_id}/{info.run_id}/{step.name}/{action}"
        return StepCall(action=action, subject=given.subject, idempotency_key=key)

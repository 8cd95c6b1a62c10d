"""The activities: the only place where a process touches the world, through the platform's API.

They run under the identity that `interceptors` binds, so nothing here names a tenant. Each may
run more than once; the idempotency key makes the second time harmless.
"""

from __future__ import annotations

from temporalio import activity
from temporalio.exceptions import ApplicationError

from .contract import DEFINITION_INVALID, StepCall, StepResult
from .definition import DefinitionError, ProcessDefinition, parse_definition
from .platform_api import PlatformApi


class Activities:
    """The activities over one platform API; `definition_ref` is the definition that they run."""

    def __init__(self, api: PlatformApi, definition_ref: str) -> None:
        self._api = api
        self._definition_ref = definition_ref

    @activity.defn
    async def read_definition(self) -> ProcessDefinition:
        """The tenant's definition. Fails for good when its shape is wrong."""
        document = await self._api.read_definition(self._definition_ref)
        try:
            return parse_definition(document, self._definition_ref)
        except DefinitionError as error:
            raise ApplicationError(
                str(error)[:2_000], type=DEFINITION_INVALID, non_retryable=True
            ) from error

    @activity.defn
    async def perform(self, call: StepCall) -> StepResult:
        """What the action answered; also used to undo a step, which is an action as any other."""
        return await self._api.perform(call)

"""The loop: ask the model, carry out the tool calls that may happen, until there is an answer.

Every call goes through the same gate: is the tool allowed, do the arguments fit, must a person
confirm. Each verdict is an audit event. Nothing here is per tenant but the run and its session.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from primitive_sdk.identity import Identity
from primitive_sdk.tenancy import bound
from pydantic_ai.exceptions import AgentRunError
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)

from .audit import AuditSink, CallOutcome, ToolCallEvent, hash_call
from .budget import Exhausted, Spending
from .confirmations import (
    ConfirmationRefused,
    PendingCall,
    check_confirmer,
    check_decision,
    make_pending,
    needs_confirmation,
)
from .definition import AgentDefinition, ToolGrant
from .models import LanguageModel
from .primitive import PRIMITIVE
from .sessions import Completed, Run, RunResult, Session, Stopped, Waiting
from .token_meter import TokenMeter
from .tool_functions import ToolFailed
from .tool_registry import OpenTools, Refused, ToolRegistry
from .tool_servers import ServerUnavailable

CONVERSATION: Final = logging.getLogger(f"{PRIMITIVE}.conversation")
LOGGER: Final = logging.getLogger(PRIMITIVE)


class RunUnderWay(Exception):
    """The session's last message is not answered yet."""


class AgentRuntime:
    """Runs one agent for all its sessions."""

    def __init__(
        self,
        definition: AgentDefinition,
        model: LanguageModel,
        registry: ToolRegistry,
        audit: AuditSink,
        *,
        confirmer_role: str,
        confirmation_ttl_s: float,
        meter: TokenMeter | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.definition = definition
        self._model = model
        self.registry = registry
        self._audit = audit
        self._confirmer_role = confirmer_role
        self._confirmation_ttl_s = confirmation_ttl_s
        self._meter = meter if definition.emit_tokens else None
        self._clock = clock

    async def send(self, session: Session, text: str, identity: Identity) -> RunResult:
        """What follows from the person's message. Raises RunUnderWay."""
        if session.lock.locked():
            raise RunUnderWay
        async with session.lock:
            run = session.run
            if run is not None and run.pending is not None:
                if self._clock() < run.pending.expires_at:
                    raise RunUnderWay
                self._end(session, run, "nobody confirmed it in time")
            run = Run(secrets.token_hex(8), identity, Spending(self.definition.budgets))
            session.run, session.result = run, None
            self._append(session, ModelRequest(parts=[UserPromptPart(content=text)]))
            return await self._drive(session, run, confirmed_by="")

    async def decide(
        self, session: Session, pending_id: str, argument_hash: str, approve: bool, by: Identity
    ) -> RunResult:
        """What follows from a person's decision on the waiting call.

        Raises ConfirmationRefused, RunUnderWay.
        """
        if session.lock.locked():
            raise RunUnderWay
        async with session.lock:
            run = session.run
            pending = run.pending if run is not None else None
            if run is None or pending is None or pending.id != pending_id:
                raise ConfirmationRefused("unknown")
            check_confirmer(self.definition.risk_tier, self._confirmer_role, by, run.acting_for)
            check_decision(pending, argument_hash, self._clock())
            run.pending = None  # one decision, used once
            if approve:
                return await self._drive(session, run, confirmed_by=by.subject)
            call = run.calls.pop(0)
            self._record(
                session, run, call.tool_name, pending.arguments, CallOutcome.DENIED, by=by.subject
            )
            run.returns.append(_answer(call, "a person refused this call", failed=True))
            return await self._drive(session, run, confirmed_by="")

    async def _drive(self, session: Session, run: Run, confirmed_by: str) -> RunResult:
        """Goes on with the run until it answers, waits or stops; its time counts."""
        began = self._clock()
        result: RunResult
        try:
            with bound(run.acting_for):
                async with asyncio.timeout(run.spending.time_left_s):
                    async with self.registry.opened() as tools:
                        # Nothing may be raised through a connection: its tasks would wrap it.
                        result, fault = await self._guarded(session, run, tools, confirmed_by)
            if fault is not None:
                raise fault
        except TimeoutError:
            result = Stopped(Exhausted.TIME)
        except ServerUnavailable as error:
            LOGGER.warning("a run stopped: %s", error)
            result = Stopped("tool-server-unavailable")
        except BaseException:
            self._end(session, run, "it was interrupted")
            raise
        finally:
            run.spending.time_s += self._clock() - began
        if not isinstance(result, Waiting):
            self._end(session, run, result.reason if isinstance(result, Stopped) else "")
        session.result = result
        return result

    async def _guarded(
        self, session: Session, run: Run, tools: OpenTools, confirmed_by: str
    ) -> tuple[RunResult, Exception | None]:
        """The result of the loop, and what it failed with if that is a fault of this program."""
        try:
            return await self._loop(session, run, tools, confirmed_by), None
        except AgentRunError as error:
            # The text of a provider's error may repeat the prompt.
            LOGGER.warning("a run stopped: the model failed: %s", type(error).__name__)
            return Stopped("model-unavailable"), None
        except Exception as error:
            return Stopped("internal"), error

    async def _loop(
        self, session: Session, run: Run, tools: OpenTools, confirmed_by: str
    ) -> RunResult:
        while True:
            while run.calls:
                answered = await self._handle(session, run, tools, run.calls[0], confirmed_by)
                confirmed_by = ""  # it was for that one call
                if isinstance(answered, PendingCall):
                    run.pending = answered
                    return Waiting(answered)
                run.returns.append(answered)
                del run.calls[0]
            if run.returns:
                self._append(session, ModelRequest(parts=run.returns))
                run.returns = []
            exhausted = run.spending.before_step()
            if exhausted is not None:
                return Stopped(exhausted)
            response = await self._model.respond(
                session.messages,
                [tools.schemas[name] for name in sorted(tools.schemas)],
                run.spending.tokens_left,
            )
            run.spending.steps += 1
            run.spending.tokens += response.usage.total_tokens
            if self._meter is not None:
                self._meter.count(response.usage.input_tokens, response.usage.output_tokens)
            self._append(session, response)
            run.calls = list(response.tool_calls)
            if not run.calls:
                return Completed(response.text or "")
            exhausted = run.spending.after_step()
            if exhausted is not None:
                return Stopped(exhausted)

    async def _handle(
        self, session: Session, run: Run, tools: OpenTools, call: ToolCallPart, confirmed_by: str
    ) -> ToolReturnPart | PendingCall:
        """The answer to one call, or the call itself if it must wait."""
        arguments = _arguments_of(call)
        name = call.tool_name
        try:
            grant = tools.check(name, arguments)
        except Refused as refusal:
            self._record(session, run, name, arguments, CallOutcome.REFUSED, reason=refusal.code)
            return _answer(call, str(refusal), failed=True)
        assert not isinstance(arguments, str)  # `check` refuses text
        if not confirmed_by and needs_confirmation(self.definition.risk_tier, grant.side_effects):
            expires_at = self._clock() + self._confirmation_ttl_s
            self._record(session, run, name, arguments, CallOutcome.WAITING)
            return make_pending(name, arguments, hash_call(name, arguments), expires_at)
        return await self._carry_out(session, run, tools, call, grant, arguments, confirmed_by)

    async def _carry_out(
        self,
        session: Session,
        run: Run,
        tools: OpenTools,
        call: ToolCallPart,
        grant: ToolGrant,
        arguments: dict[str, Any],
        confirmed_by: str,
    ) -> ToolReturnPart:
        name = call.tool_name
        self._record(session, run, name, arguments, CallOutcome.ALLOWED, by=confirmed_by)
        began = self._clock()
        outcome, reason = CallOutcome.FAILED, "interrupted"
        try:
            text = await tools.call(grant, arguments)
            outcome, reason = CallOutcome.SUCCEEDED, ""
            return _answer(call, text)
        except ToolFailed as error:
            reason = "tool-failed"
            return _answer(call, str(error), failed=True)
        except Exception as error:
            # A fault of the tool's code is the agent's to live with; its text may hold anything.
            LOGGER.exception("tool %s is faulty", name)
            reason = type(error).__name__
            return _answer(call, "the tool failed", failed=True)
        finally:
            took_ms = round((self._clock() - began) * 1000, 3)
            self._record(
                session, run, name, arguments, outcome, reason, by=confirmed_by, took_ms=took_ms
            )

    def _end(self, session: Session, run: Run, reason: str) -> None:
        """Ends the run; calls without an answer get one, as providers ask for every call's."""
        session.run = None
        run.returns += [
            _answer(call, f"not carried out: {reason}", failed=True) for call in run.calls
        ]
        if run.returns:
            self._append(session, ModelRequest(parts=run.returns))
        run.calls, run.returns, run.pending = [], [], None

    def _append(self, session: Session, message: ModelMessage) -> None:
        if isinstance(message, ModelRequest):
            message.instructions = "\n".join(self.definition.instructions)
        session.messages.append(message)
        if self.definition.log_prompts:
            told = "output" if isinstance(message, ModelResponse) else "prompt"
            CONVERSATION.info("%s of session %s: %r", told, session.id, message.parts)

    def _record(
        self,
        session: Session,
        run: Run,
        tool: str,
        arguments: dict[str, Any] | str | Mapping[str, Any],
        outcome: CallOutcome,
        reason: str = "",
        *,
        by: str = "",
        took_ms: float | None = None,
    ) -> None:
        shown = arguments if self.definition.log_prompts else None
        self._audit.write(
            ToolCallEvent(
                primitive=PRIMITIVE,
                definition=self.definition.ref,
                tenant=run.acting_for.tenant_id,
                subject=run.acting_for.subject,
                session=session.id,
                run=run.id,
                # The model chose this name: it may be any text.
                tool=tool[:64],
                argument_hash=hash_call(tool, arguments),
                outcome=outcome,
                reason=reason,
                confirmed_by=by,
                duration_ms=took_ms,
                arguments={"text": shown} if isinstance(shown, str) else shown,
            )
        )


def _arguments_of(call: ToolCallPart) -> dict[str, Any] | str:
    """The call's arguments as an object, or the text that is none."""
    if isinstance(call.args, dict):
        return call.args
    try:
        arguments = json.loads(call.args or "{}")
    except ValueError:
        arguments = None
    return arguments if isinstance(arguments, dict) else str(call.args)


def _answer(call: ToolCallPart, text: str, *, failed: bool = False) -> ToolReturnPart:
    return ToolReturnPart(
        tool_name=call.tool_name,
        content=text,
        tool_call_id=call.tool_call_id,
        outcome="failed" if failed else "success",
    )

"""The activities over a double of the platform's API."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import httpx
import pytest
from conftest import ORIGIN, TENANT, PlatformDouble, definition_document, identity_of
from primitive_sdk.tenancy import bound
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from process_${{ values.primitive_id | replace('-', '_') }} import contract, names
from process_${{ values.primitive_id | replace('-', '_') }}.activities import Activities
from process_${{ values.primitive_id | replace('-', '_') }}.definition import ProcessDefinition
from process_${{ values.primitive_id | replace('-', '_') }}.platform_api import MAX_ANSWER_BYTES
from process_${{ values.primitive_id | replace('-', '_') }}.platform_api import PlatformApi

CALL = contract.StepCall(action="inventory/reserve", subject="17", idempotency_key="north/p/1/a")


def activities_over(platform: PlatformDouble) -> Activities:
    """The activities, as the worker makes them."""
    api = PlatformApi(platform.client(), f"{ORIGIN}/base/")
    return Activities(api, names.DEFINITION_REF)


def perform(platform: PlatformDouble) -> contract.StepResult:
    """One call of the activity `perform` under the tenant's identity."""
    with bound(identity_of(TENANT)):
        return asyncio.run(ActivityEnvironment().run(activities_over(platform).perform, CALL))


def read_definition(platform: PlatformDouble) -> ProcessDefinition:
    """One call of the activity `read_definition` under the tenant's identity."""
    with bound(identity_of(TENANT)):
        return asyncio.run(ActivityEnvironment().run(activities_over(platform).read_definition))


def failure_of(answer: Callable[[httpx.Request], httpx.Response]) -> ApplicationError:
    """How `perform` fails when the platform answers so."""
    with pytest.raises(ApplicationError) as caught:
        perform(PlatformDouble(answer))
    return caught.value


def test_an_action_is_sent_once_named_and_under_the_tenant(platform: PlatformDouble) -> None:
    assert perform(platform) == contract.StepResult("reserve-17")
    path = "/base/v1/domains/inventory/actions/reserve"
    assert platform.calls == [(TENANT, "POST", path)]
    assert platform.keys == [CALL.idempotency_key]


def test_the_definition_is_read_and_checked(platform: PlatformDouble) -> None:
    assert read_definition(platform).tenant_id == TENANT
    [(_, method, path)] = platform.calls
    assert method == "GET"
    assert path.startswith("/base/v1/process-definitions/")


def test_a_definition_of_the_wrong_shape_fails_for_good() -> None:
    document = definition_document(steps="all")
    platform = PlatformDouble(lambda _: httpx.Response(200, json=document))
    with pytest.raises(ApplicationError) as caught:
        read_definition(platform)
    assert caught.value.type == contract.DEFINITION_INVALID
    assert caught.value.non_retryable


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503])
def test_what_may_pass_is_tried_again(status: int) -> None:
    error = failure_of(lambda _: httpx.Response(status, text="secret detail"))
    assert not error.non_retryable
    assert "secret" not in str(error)


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 409, 422])
def test_what_is_refused_fails_for_good(status: int) -> None:
    error = failure_of(lambda _: httpx.Response(status, text="secret detail"))
    assert error.type == contract.REFUSED
    assert error.non_retryable
    assert "secret" not in str(error)


@pytest.mark.parametrize(
    ("given", "delay"),
    [
        ("7", timedelta(seconds=7)),
        ("99999", timedelta(minutes=5)),
        ("Wed, 21 Oct 2015 07:28:00 GMT", None),
        ("-1", None),
        ("9" * 5_000, None),
    ],
)
def test_the_delay_that_the_platform_asks_for_is_kept(given: str, delay: timedelta | None) -> None:
    error = failure_of(lambda _: httpx.Response(503, headers={"retry-after": given}))
    assert error.next_retry_delay == delay


def test_a_platform_that_cannot_be_reached_is_tried_again() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectTimeout("secret detail", request=request)

    error = failure_of(answer)
    assert not error.non_retryable
    assert "ConnectTimeout" in str(error)
    assert "secret" not in str(error)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"{" * 10, contract.REFUSED),
        (b"[]", contract.REFUSED),
        (b'{"reference": 7}', contract.REFUSED),
        (b'{"reference": "' + b"r" * 501 + b'"}', contract.REFUSED),
        (b" " * (MAX_ANSWER_BYTES + 1), contract.PAYLOAD_TOO_LARGE),
    ],
)
def test_an_answer_that_does_not_belong_into_a_history_is_refused(
    content: bytes, kind: str
) -> None:
    error = failure_of(lambda _: httpx.Response(200, content=content))
    assert error.type == kind
    assert error.non_retryable


def test_an_action_may_answer_nothing() -> None:
    platform = PlatformDouble(lambda _: httpx.Response(204))
    assert perform(platform) == contract.StepResult("")

"""The worker's settings."""

from __future__ import annotations

import pytest
from primitive_sdk.settings import SettingsError, read_settings

from process_${{ values.primitive_id | replace('-', '_') }} import names
from process_${{ values.primitive_id | replace('-', '_') }}.settings import WorkerSettings

NEEDED = {
    "TOKEN_ISSUER": "https://issuer.example.invalid",
    "TOKEN_AUDIENCE": "platform-api",
    "TOKEN_JWKS_URL": "https://issuer.example.invalid/keys",
    "TOKEN_URL": "https://issuer.example.invalid/token",
    "CLIENT_ID": "worker",
    "CLIENT_SECRET": "not-a-real-one",
    "PLATFORM_API_URL": "https://api.example.invalid",
    "TEMPORAL_ADDRESS": "temporal.example.invalid:7233",
    "TEMPORAL_NAMESPACE": "platform",
}


def test_what_is_needed_is_enough() -> None:
    settings = read_settings(WorkerSettings, NEEDED)
    assert settings.task_queue == names.TASK_QUEUE
    assert settings.max_concurrency_per_tenant == names.MAX_CONCURRENCY_PER_TENANT
    assert settings.problems() == ()
    assert "not-a-real-one" not in repr(settings)


def test_everything_that_is_missing_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(WorkerSettings, {})
    text = " ".join(caught.value.problems)
    assert all(name in text for name in NEEDED)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_CONCURRENCY_PER_TENANT", "0"),
        ("MAX_CONCURRENCY_PER_TENANT", "201"),
        ("STOP_TIMEOUT_S", "1"),
    ],
)
def test_a_value_that_cannot_work_is_told(name: str, value: str) -> None:
    [problem] = read_settings(WorkerSettings, {**NEEDED, name: value}).problems()
    assert name in problem

"""Settings are read by type, and all problems are reported at once, without values."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from primitive_sdk.settings import PrimitiveSettings, SettingsError, read_settings

TOKENS = {
    "TOKEN_ISSUER": "https://issuer.example.invalid",
    "TOKEN_AUDIENCE": "platform-api",
    "TOKEN_JWKS_URL": "https://issuer.example.invalid/certs",
}


@dataclass(frozen=True, kw_only=True)
class Settings(PrimitiveSettings):
    database_url: str
    port: int = 8080
    ratio: float = 0.5
    verbose: bool = False
    origins: tuple[str, ...] = ()
    made: str = field(default="here", init=False)


def test_fields_are_read_by_their_types() -> None:
    environment = TOKENS | {
        "DATABASE_URL": "postgresql:///orders",
        "PORT": "9000",
        "RATIO": "1e-2",
        "VERBOSE": "True",
        "ORIGINS": "https://a.example.invalid, https://b.example.invalid,",
        "UNRELATED": "ignored",
    }
    settings = read_settings(Settings, environment)
    assert settings == Settings(
        token_issuer=TOKENS["TOKEN_ISSUER"],
        token_audience="platform-api",
        token_jwks_url=TOKENS["TOKEN_JWKS_URL"],
        database_url="postgresql:///orders",
        port=9000,
        ratio=0.01,
        verbose=True,
        origins=("https://a.example.invalid", "https://b.example.invalid"),
    )


def test_an_empty_variable_is_not_set() -> None:
    settings = read_settings(PrimitiveSettings, TOKENS | {"HEALTH_PORT": " ", "LOG_LEVEL": ""})
    assert (settings.health_port, settings.log_level) == (8081, "INFO")


def test_all_problems_are_reported_at_once() -> None:
    environment = {
        "TOKEN_ISSUER": "https://issuer.example.invalid",
        "TOKEN_AUDIENCE": "",
        "PORT": "80a",
        "RATIO": "nan",
        "VERBOSE": "perhaps",
    }
    with pytest.raises(SettingsError) as error:
        read_settings(Settings, environment)
    assert error.value.problems == (
        "TOKEN_AUDIENCE is not set",
        "TOKEN_JWKS_URL is not set",
        "DATABASE_URL is not set",
        "PORT is not a whole number",
        "RATIO is not a number",
        "VERBOSE is neither true nor false",
    )


@pytest.mark.parametrize("text", ["1_0", "٣", "1.0", "0x10", "--1", "1" * 30])
def test_only_plain_digits_are_a_whole_number(text: str) -> None:
    with pytest.raises(SettingsError):
        read_settings(PrimitiveSettings, TOKENS | {"HEALTH_PORT": text})


def test_a_field_type_that_no_variable_can_hold_is_refused() -> None:
    @dataclass(frozen=True)
    class Wrong:
        table: dict[str, str]

    with pytest.raises(TypeError, match="cannot be of type"):
        read_settings(Wrong, {"TABLE": "{}"})

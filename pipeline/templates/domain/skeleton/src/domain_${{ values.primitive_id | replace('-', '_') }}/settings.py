"""Typed configuration, read once from the environment at start."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .entities import PRIMITIVE

# Only these: a shared secret would let every service mint tokens, `none` everybody.
TOKEN_ALGORITHMS = ("ES256", "RS256")


class InvalidSettings(ValueError):
    """A variable is missing or malformed; the message names it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the service can be told from outside."""

    host: str
    port: int
    socket: str
    database: Path
    token_issuer: str
    token_audience: str
    token_algorithm: str
    token_keys: dict[str, object]
    tenant_claim: str
    only_tenant: str
    environment: str
    log_level: str
    stop_timeout_s: int


def read_settings(environ: Mapping[str, str]) -> Settings:
    """The settings in `environ`. Raises InvalidSettings."""
    algorithm = environ.get("TOKEN_ALGORITHM", "ES256")
    if algorithm not in TOKEN_ALGORITHMS:
        raise InvalidSettings(f"TOKEN_ALGORITHM must be one of {', '.join(TOKEN_ALGORITHMS)}")
    level = environ.get("LOG_LEVEL", "INFO")
    if level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise InvalidSettings("LOG_LEVEL must be DEBUG, INFO, WARNING or ERROR")
    return Settings(
        host=environ.get("HOST", "127.0.0.1"),
        port=_whole_number(environ, "PORT", 8080, 65_535),
        socket=environ.get("SOCKET", ""),
        database=Path(environ.get("DATABASE", "primitive.db")),
        token_issuer=environ.get("TOKEN_ISSUER", ""),
        token_audience=environ.get("TOKEN_AUDIENCE", PRIMITIVE),
        token_algorithm=algorithm,
        token_keys=_key_set(environ.get("TOKEN_KEYS", "")),
        tenant_claim=environ.get("TENANT_CLAIM", "tenant_id"),
        only_tenant=environ.get("ONLY_TENANT", ""),
        environment=environ.get("AMEIDE_ENVIRONMENT", "local"),
        log_level=level,
        stop_timeout_s=_whole_number(environ, "STOP_TIMEOUT_S", 20, 600),
    )


def _whole_number(environ: Mapping[str, str], name: str, default: int, maximum: int) -> int:
    text = environ.get(name, str(default))
    if not (text.isascii() and text.isdigit()) or int(text) > maximum:
        raise InvalidSettings(f"{name} must be a whole number up to {maximum}")
    return int(text)


def _key_set(text: str) -> dict[str, object]:
    if not text.strip():
        return {"keys": []}
    try:
        keys = json.loads(text)
    except ValueError as error:
        raise InvalidSettings("TOKEN_KEYS is not JSON") from error
    if not isinstance(keys, dict) or not isinstance(keys.get("keys"), list):
        raise InvalidSettings("TOKEN_KEYS is not a JSON Web Key Set")
    return keys

"""Typed configuration, read once from the environment at start; variables are in upper case."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from primitive_sdk.settings import PrimitiveSettings, SettingsError, read_settings

from .entities import PRIMITIVE


@dataclass(frozen=True, kw_only=True)
class Settings(PrimitiveSettings):
    """Everything the service can be told from outside, besides what every primitive is told."""

    token_audience: str = PRIMITIVE
    # `unix:PATH` is a socket in the file system.
    grpc_address: str = "127.0.0.1:8080"
    reflection: bool = False
    store: str = "postgres"
    database_url: str = field(default="", repr=False)
    database_pool_max: int = 8
    # Logs in as the relay's role; without it events stay in the outbox.
    relay_database_url: str = field(default="", repr=False)
    relay_interval_s: float = 1.0
    concurrent_calls_max: int = 200
    ameide_environment: str = "local"


@dataclass(frozen=True, kw_only=True)
class MigrationSettings:
    """What a migration needs to know: the owner's address, and who is to be granted what."""

    owner_database_url: str = field(repr=False)
    database_url: str = field(repr=False)
    relay_database_url: str = field(default="", repr=False)


def read_service_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """The service's settings. Raises SettingsError with all problems."""
    settings = read_settings(Settings, environment)
    problems = []
    if settings.store not in ("memory", "postgres"):
        problems.append("STORE must be memory or postgres")
    if settings.store == "postgres" and not settings.database_url:
        problems.append("DATABASE_URL is needed unless STORE is memory")
    if not 1 <= settings.database_pool_max <= 100:
        problems.append("DATABASE_POOL_MAX must lie between 1 and 100")
    if not 0.05 <= settings.relay_interval_s <= 3600:
        problems.append("RELAY_INTERVAL_S must lie between 0.05 and 3600")
    if settings.concurrent_calls_max < 1:
        problems.append("CONCURRENT_CALLS_MAX must be at least 1")
    if problems:
        raise SettingsError(tuple(problems))
    return settings

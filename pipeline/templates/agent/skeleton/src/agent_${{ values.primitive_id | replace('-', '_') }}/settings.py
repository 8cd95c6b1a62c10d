"""Everything the agent can be told from outside, read once at start by `primitive_sdk.settings`."""

from __future__ import annotations

from dataclasses import dataclass, field

from primitive_sdk.settings import PrimitiveSettings


@dataclass(frozen=True, kw_only=True)
class Settings(PrimitiveSettings):
    """A field `model_api_key` is the variable MODEL_API_KEY; without a default it is required."""

    # Kept out of `repr`, so that no log line can hold it.
    model_api_key: str = field(repr=False)
    # Where the model's API is reached; empty: the provider's own address.
    model_base_url: str = ""
    host: str = "127.0.0.1"
    port: int = 8080
    # A definition that is mounted; empty: the one in this package.
    definition_file: str = ""
    # `name=url` or `name=stdio:command arguments`, one for each server that the definition names.
    tool_servers: tuple[str, ...] = ()
    # Origins besides the tool servers' that may get the tenant's token.
    outbound_origins: tuple[str, ...] = ()
    # Audit events go to this file, or to standard output.
    audit_file: str = ""
    # The role that lets a person confirm what the agent wants to do.
    confirmer_role: str = "agent-confirmer"
    confirmation_ttl_s: int = 900
    session_idle_s: int = 1800
    max_parallel_sessions: int = 8

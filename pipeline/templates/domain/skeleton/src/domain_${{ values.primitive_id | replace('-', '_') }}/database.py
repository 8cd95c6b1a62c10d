"""Where in Postgres this primitive lives: a schema of its own, in the database it is given."""

from __future__ import annotations

from typing import Final

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from .entities import PRIMITIVE

SCHEMA: Final = "domain_" + PRIMITIVE.replace("-", "_")
# No statement of the service may take longer; a migration may.
STATEMENT_TIMEOUT: Final = {"statement_timeout": "10s"}


def in_schema(address: str, settings: dict[str, str] | None = None) -> str:
    """The address of a database, with sessions in this primitive's schema and these settings.

    What the address itself sets is kept.
    """
    options = [str(conninfo_to_dict(address).get("options", ""))]
    for name, value in {"search_path": SCHEMA, **(settings or {})}.items():
        # libpq splits options at blanks, unless a backslash stands before them.
        escaped = value.replace("\\", "\\\\").replace(" ", "\\ ")
        options.append(f"-c {name}={escaped}")
    return make_conninfo(address, options=" ".join(options).strip())


def role_of(address: str) -> str:
    """The role that logs in at this address; empty for no address."""
    return str(conninfo_to_dict(address).get("user", "")) if address else ""

"""Settings that would weaken or break the service stop its start."""

from __future__ import annotations

import pytest
from conftest import database, entities, migrate, service_settings
from primitive_sdk.settings import SettingsError
from psycopg.conninfo import conninfo_to_dict

GOOD = {
    "TOKEN_ISSUER": "https://issuer.test/realms/one",
    "TOKEN_JWKS_URL": "https://issuer.test/keys",
    "DATABASE_URL": "postgresql://app:hidden@db.test/primitives",
}


def test_good_settings_are_read_and_do_not_print_what_is_secret():
    settings = service_settings.read_service_settings(GOOD)
    assert (settings.store, settings.reflection) == ("postgres", False)
    assert settings.token_audience == entities.PRIMITIVE
    assert "hidden" not in repr(settings)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"TOKEN_ISSUER": ""}, "TOKEN_ISSUER is not set"),
        ({"TOKEN_JWKS_URL": ""}, "TOKEN_JWKS_URL is not set"),
        ({"DATABASE_URL": ""}, "DATABASE_URL is needed unless STORE is memory"),
        ({"STORE": "sqlite"}, "STORE must be memory or postgres"),
        ({"DATABASE_POOL_MAX": "0"}, "DATABASE_POOL_MAX must lie between 1 and 100"),
        ({"DATABASE_POOL_MAX": "many"}, "DATABASE_POOL_MAX is not a whole number"),
        ({"RELAY_INTERVAL_S": "0"}, "RELAY_INTERVAL_S must lie between 0.05 and 3600"),
        ({"CONCURRENT_CALLS_MAX": "0"}, "CONCURRENT_CALLS_MAX must be at least 1"),
        ({"REFLECTION": "maybe"}, "REFLECTION is neither true nor false"),
    ],
)
def test_a_bad_setting_is_named(change, problem):
    with pytest.raises(SettingsError) as refused:
        service_settings.read_service_settings({**GOOD, **change})
    assert problem in refused.value.problems


def test_sessions_are_in_the_schema_of_this_primitive_whatever_the_address_sets():
    address = "postgresql://app@db.test/primitives?options=-c%20work_mem%3D8MB"
    made = conninfo_to_dict(database.in_schema(address, {"app.application_role": "a b\\c"}))
    assert made["options"] == (
        f"-c work_mem=8MB -c search_path={database.SCHEMA} -c app.application_role=a\\ b\\\\c"
    )
    assert (made["user"], database.role_of(address), database.role_of("")) == ("app", "app", "")


@pytest.mark.parametrize(
    ("roles", "problem"),
    [
        (("owner", "service", "service"), "log in as roles of their own"),
        (("owner", "owner", "relay"), "log in as roles of their own"),
        (("owner", "", "relay"), "DATABASE_URL names no role"),
    ],
)
def test_roles_that_would_see_too_much_are_refused(roles, problem):
    owner, service, relay = (f"dbname=a user='{role}'" if role else "dbname=a" for role in roles)
    settings = service_settings.MigrationSettings(
        owner_database_url=owner, database_url=service, relay_database_url=relay
    )
    with pytest.raises(SettingsError, match=problem):
        migrate.check_roles(settings)


def test_without_a_relay_there_are_two_roles():
    settings = service_settings.MigrationSettings(
        owner_database_url="user=owner", database_url="user=service"
    )
    assert migrate.check_roles(settings) == ("service", "")

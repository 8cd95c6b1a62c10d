"""Typed settings, read once from the environment.

A settings class is a frozen dataclass; its field `token_issuer: str` is read from TOKEN_ISSUER.
Messages name variables and never show their values, for some are secrets.
"""

from __future__ import annotations

import dataclasses
import math
import os
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


class SettingsError(Exception):
    """The environment does not hold what the settings ask for; says all problems at once."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrimitiveSettings:
    """What every primitive is told; its own settings class inherits from this one."""

    token_issuer: str
    token_audience: str
    token_jwks_url: str
    # The one tenant that this instance serves; empty where tenants share the instance.
    only_tenant: str = ""
    log_level: str = "INFO"
    # Base address of an OTLP/HTTP collector; empty keeps telemetry in the process.
    otlp_endpoint: str = ""
    # Below Kubernetes' default grace period of 30 s, so that stopping ends before it is killed.
    stop_timeout_s: float = 25.0
    health_port: int = 8081


def read_settings(cls: type[T], environment: Mapping[str, str] = os.environ) -> T:
    """An instance of the dataclass `cls`, filled from the environment.

    Fields are `str`, `int`, `float`, `bool` or `tuple[str, ...]` (comma separated). A variable
    that is set to nothing counts as not set. Raises SettingsError with every problem.
    """
    if not dataclasses.is_dataclass(cls):
        raise TypeError(f"{cls.__name__} is not a dataclass")
    types = typing.get_type_hints(cls)
    values: dict[str, Any] = {}
    problems = []
    for field in dataclasses.fields(cls):
        if not field.init:
            continue
        name = field.name.upper()
        read = _reader(types[field.name])
        text = environment.get(name, "").strip()
        if not text:
            if (
                field.default is dataclasses.MISSING
                and field.default_factory is dataclasses.MISSING
            ):
                problems.append(f"{name} is not set")
            continue
        try:
            values[field.name] = read(text)
        except ValueError as error:
            problems.append(f"{name} {error}")
    if problems:
        raise SettingsError(tuple(problems))
    return typing.cast(T, cls(**values))


def _reader(kind: Any) -> Callable[[str], Any]:
    readers: dict[Any, Callable[[str], Any]] = {
        str: str,
        int: _read_int,
        float: _read_float,
        bool: _read_bool,
        tuple[str, ...]: _read_list,
    }
    try:
        return readers[kind]
    except KeyError:
        raise TypeError(f"settings cannot be of type {kind}") from None


def _read_int(text: str) -> int:
    # int() would also take "1_000" and digits of other scripts.
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
        raise ValueError("is not a whole number")
    return int(text)


def _read_float(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError("is not a number")
    return number


def _read_bool(text: str) -> bool:
    lowered = text.lower()
    if lowered not in _TRUE | _FALSE:
        raise ValueError("is neither true nor false")
    return lowered in _TRUE


def _read_list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())

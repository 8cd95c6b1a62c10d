"""Reasons against a promotion, and how clauses make them."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.diagnostics import Rule


@dataclass(frozen=True, slots=True)
class DecisionReason:
    """One reason against: the rule's code, the message, and whether waiting can help.

    `until_s` is the moment (seconds since the epoch) at which time alone may remove the reason;
    None if time does not, or not in the foreseeable future.
    """

    code: str
    message: str
    final: bool
    until_s: int | None = None


def refuses(rule: Rule, message: str) -> DecisionReason:
    """A reason that only another request can remove."""
    return DecisionReason(rule.id, message, final=True)


def waits(rule: Rule, message: str, until_s: int | None = None) -> DecisionReason:
    """A reason that may go away by itself."""
    return DecisionReason(rule.id, message, final=False, until_s=until_s)

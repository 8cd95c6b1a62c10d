"""Draft ids: which strings are one, and that models read and write them as strings."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from pipeline.errors import Failure, UsageFault, failure_of
from pipeline.models.base import Model
from pipeline.models.draft_id import DraftId, parse_draft_id
from pipeline.plan.effects import TenantPlan


class Holder(Model):
    """A model with a draft's id."""

    draft: DraftId


GOOD = ("acme/order-router", "a/b", f"{'a' * 40}/{'b' * 40}")
BAD = ("", "acme", "acme/", "/x", "a/b/c", "Acme/x", "acme/x--y", "acme/-x", "acme/x\n", "a" * 82)
BAD += (f"{'a' * 40}/{'b' * 41}", "acme /x", "1a/x", "acme/x-")


@pytest.mark.parametrize("text", GOOD)
def test_an_id_has_two_parts(text: str) -> None:
    found = parse_draft_id(text)
    assert f"{found.tenant}/{found.primitive}" == text == found
    assert {found: 1}[text] == 1
    held = Holder.model_validate_json(json.dumps({"draft": text}))
    assert type(held.draft) is DraftId and held == Holder(draft=found)
    assert held.model_dump_json() == f'{{"draft":"{text}"}}'


@pytest.mark.parametrize("text", BAD)
def test_any_other_id_is_refused(text: str) -> None:
    with pytest.raises(UsageFault, match="is not a draft id"):
        parse_draft_id(text)
    with pytest.raises(ValidationError):
        Holder.model_validate_json(json.dumps({"draft": text}))


def test_a_malformed_id_can_still_be_split() -> None:
    assert (DraftId("").tenant, DraftId("").primitive) == ("", "")
    assert (DraftId("acme").tenant, DraftId("acme").primitive) == ("acme", "")
    assert (DraftId("a/b/c").tenant, DraftId("a/b/c").primitive) == ("a", "b/c")


def test_a_failure_is_a_list_of_three_strings_in_json() -> None:
    failure = failure_of("acme/order-router", UsageFault("no such file"))
    assert failure == Failure("acme/order-router", "usage", "no such file")
    plan = TenantPlan(tenant="acme", state_head=None, failures=(failure,))
    written = plan.model_dump_json()
    assert json.loads(written)["failures"] == [["acme/order-router", "usage", "no such file"]]
    [read] = TenantPlan.model_validate_json(written).failures
    assert read.subject == "acme/order-router" and read == failure
    bug = failure_of("acme", KeyError("x"))
    assert (bug.subject, bug.code) == ("acme", "internal-error")

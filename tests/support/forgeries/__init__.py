"""Forgeries by a writer who keeps chain and fold consistent, each with what an audit says of it.

One module per kind of thing that is falsified; `FORGERIES` lists them all.
"""

from __future__ import annotations

from tests.support.forgeries.causes import CAUSES
from tests.support.forgeries.places import PLACES
from tests.support.forgeries.promotions import PROMOTIONS
from tests.support.forgeries.second_day import SECOND_DAY
from tests.support.forgeries.sources import ACCEPTANCE, SOURCES
from tests.support.forgeries.state_branch import STATES
from tests.support.forgeries.times import TIMES
from tests.support.forgeries.trusted import TRUSTED
from tests.support.forgeries.ways import Forgery

__all__ = ["FORGERIES", "Forgery"]

FORGERIES: tuple[Forgery, ...] = (
    *ACCEPTANCE,
    *SOURCES,
    *PROMOTIONS,
    *CAUSES,
    *SECOND_DAY,
    *STATES,
    *PLACES,
    *TIMES,
    *TRUSTED,
)

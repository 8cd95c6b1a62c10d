"""The sandbox's watch learns its first process, however bubblewrap's line arrives."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pipeline.sandbox.limits import Limits
from pipeline.sandbox.limits.watch import Watch

LINE = b'{ "child-pid": 4194000, "net-namespace": 4026531840 }\n{ "exit-code": 0 }\n'


@contextmanager
def watching() -> Iterator[tuple[Watch, int]]:
    """A watch, and where to write what bubblewrap would tell it."""
    told, telling = os.pipe()
    os.set_blocking(told, False)
    try:
        yield Watch(told, Limits(), None), telling
    finally:
        os.close(told)
        os.close(telling)


@pytest.mark.parametrize("cut", range(1, len(LINE)))
def test_a_line_in_two_pieces_is_read(cut: int) -> None:
    with watching() as (watch, telling):
        for piece in (LINE[:cut], LINE[cut:]):
            os.write(telling, piece)
            watch.look()
        assert watch.first == 4194000


def test_an_unfinished_line_gives_nothing() -> None:
    with watching() as (watch, telling):
        assert (watch.look(), watch.first) == (None, None)
        os.write(telling, LINE[:18])
        assert (watch.look(), watch.first) == (None, None)

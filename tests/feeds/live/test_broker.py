"""The development broker is ours, or there is none."""

from __future__ import annotations

import socket

import pytest

from engine.base.errors import GrandModelError
from feeds.live.broker import HOST, EmbeddedBroker
from tests.brokers import need_tansu
from tests.waiting import LIMIT_S


def test_another_program_on_the_port_is_not_taken_for_the_broker() -> None:
    need_tansu()
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(GrandModelError, match="does not start") as caught:
            EmbeddedBroker(port=port).start()
    assert (caught.value.where, caught.value.found) == (f"{HOST}:{port}", "another program listens there already")


def test_it_starts_again_on_the_port_that_it_had() -> None:
    need_tansu()
    with EmbeddedBroker() as broker:
        broker.stop()
        broker.start()
        with socket.create_connection((HOST, broker.port), timeout=LIMIT_S):
            pass

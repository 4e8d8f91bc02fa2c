"""A publisher without a client library: floods go out as fast as the socket takes them, in a thread of their own."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator

CONNECT = b"\x10\x11\x00\x04MQTT\x04\x02\x00\x00\x00\x05flood"
IDS = 65_535


def packet(topic: str, payload: bytes, qos: int, number: int = 1) -> bytes:
    """One PUBLISH of MQTT 3.1.1."""
    name = topic.encode()
    body = struct.pack("!H", len(name)) + name + (struct.pack("!H", number) if qos else b"") + payload
    length, rest = bytearray(), len(body)
    while True:
        rest, low = divmod(rest, 128)
        length.append(low | (128 if rest else 0))
        if not rest:
            return bytes([0x30 | qos << 1]) + bytes(length) + body


@contextlib.contextmanager
def connected(server: str) -> Iterator[tuple[socket.socket, threading.Thread]]:
    """A connection that the broker has accepted, and what throws away its answers, until the broker ends it."""
    host, port = server.split(":")
    with socket.create_connection((host, int(port))) as one:
        one.sendall(CONNECT)
        assert one.recv(4) == b"\x20\x02\x00\x00"
        draining = threading.Thread(target=_drain, args=(one,), daemon=True)
        draining.start()
        yield one, draining


def _drain(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while one.recv(65_536):
            pass


def send(server: str, packets: list[bytes]) -> None:
    """Send these, and return when the broker has taken them off the wire."""
    with connected(server) as (one, draining):
        one.sendall(b"".join(packets) + b"\xe0\x00")
        draining.join()


def flood(server: str, topic: str, payload: bytes, qos: int, wanted: Callable[[], bool]) -> None:
    """Send a payload again and again, for as long as it is wanted and the broker is there."""
    at_once = max(1, min(500, (1 << 20) // max(1, len(payload))))
    number = 0
    with contextlib.suppress(OSError), connected(server) as (one, _):
        while wanted():
            numbers = [(number + k) % IDS + 1 for k in range(at_once)]
            number += at_once
            one.sendall(b"".join(packet(topic, payload, qos, each) for each in numbers))

"""The monitor's HTTP server against the standard library's client, and against clients that behave badly."""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.base.config import parse
from engine.base.errors import ConfigError, UsageError
from engine.monitor.connections import MOST_CONNECTIONS
from engine.monitor.http import MetricsConfig, MonitorServer, Page, session_pages
from engine.monitor.metrics import CONTENT_TYPE, SessionMetrics
from tests.waiting import LIMIT_S, eventually

ANYWHERE = MetricsConfig(enabled=True, port=0)
OK = {"/": lambda: Page(HTTPStatus.OK, b"here\n")}


@asynccontextmanager
async def _serving(pages: object = OK, patience_s: float = LIMIT_S) -> AsyncIterator[MonitorServer]:
    server = MonitorServer(ANYWHERE, pages, patience_s=patience_s)  # type: ignore[arg-type]
    await server.start()
    try:
        yield server
    finally:
        await server.close()


async def _get(server: MonitorServer, path: str, method: str = "GET") -> tuple[int, str, dict[str, str]]:
    def fetch() -> tuple[int, str, dict[str, str]]:
        connection = http.client.HTTPConnection(*server.address, timeout=LIMIT_S)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), dict(answer.getheaders())
        finally:
            connection.close()

    return await asyncio.to_thread(fetch)


async def _raw(server: MonitorServer, sent: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*server.address)
    writer.write(sent)
    writer.write_eof()
    try:
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.transport.abort()


async def test_a_session_s_pages() -> None:
    metrics = SessionMetrics()
    metrics.gaps.inc(3)
    problems: dict[str, str | None] = {"alive": None, "ready": "waiting for the feed"}
    pages = session_pages(metrics.exposition, lambda: problems["alive"], lambda: problems["ready"])
    async with _serving(pages) as server:
        status, body, headers = await _get(server, "/metrics?name[]=x")
        assert status == 200
        assert "grandmodel_gaps_total 3.0\n" in body
        assert headers["Content-Type"] == CONTENT_TYPE
        assert (await _get(server, "/healthz"))[:2] == (200, "ok\n")
        assert (await _get(server, "/readyz"))[:2] == (503, "waiting for the feed\n")
        problems.update(alive="no heartbeat for 40 s", ready=None)
        assert (await _get(server, "/healthz"))[:2] == (503, "no heartbeat for 40 s\n")
        assert (await _get(server, "/readyz"))[:2] == (200, "ok\n")


async def test_other_requests_are_answered_with_what_is_wrong() -> None:
    async with _serving() as server:
        assert (await _get(server, "/nowhere"))[0] == 404
        status, _, headers = await _get(server, "/", method="POST")
        assert (status, headers["Allow"]) == (405, "GET")
        assert (await _raw(server, b"hello\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
        assert (await _raw(server, b"GET / SPDY/3\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
        assert (await _raw(server, b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000)).startswith(b"HTTP/1.1 431 ")
        assert await _raw(server, b"GET / HTTP/1.1\r\n") == b""


async def test_a_page_that_cannot_be_made_is_logged_and_harms_nobody() -> None:
    pages = {**OK, "/broken": lambda: 1 / 0}
    async with _serving(pages) as server:
        with structlog.testing.capture_logs() as logs:
            assert (await _get(server, "/broken"))[0] == 500
        assert logs[0]["why"].startswith("ZeroDivisionError")
        assert (await _get(server, "/"))[0] == 200


async def test_a_silent_client_is_told_and_left() -> None:
    async with _serving(patience_s=0.05) as server:
        reader, writer = await asyncio.open_connection(*server.address)
        writer.write(b"GET /")
        assert (await reader.read()).startswith(b"HTTP/1.1 408 ")
        writer.transport.abort()


async def test_a_client_that_does_not_read_is_left() -> None:
    large = {"/": lambda: Page(HTTPStatus.OK, b"x" * 50_000_000)}
    async with _serving(large, patience_s=0.2) as server:
        reader, writer = await asyncio.open_connection(*server.address)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await eventually(lambda: server.connections > 0)
        await eventually(lambda: server.connections == 0)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await reader.readexactly(50_000_000)
        writer.transport.abort()


async def test_half_sent_requests_do_not_keep_others_out() -> None:
    async with _serving() as server:
        half_sent = []
        for _ in range(3 * MOST_CONNECTIONS):
            half_sent.append(await asyncio.open_connection(*server.address))
            half_sent[-1][1].write(b"GET /metrics HTTP/1.1\r\nHost:")
        assert (await _get(server, "/"))[:2] == (200, "here\n")
        assert server.connections <= MOST_CONNECTIONS
        # those that were replaced were cut, and the newest wait for the rest of their requests
        assert await half_sent[0][0].read() == b""
        half_sent[-1][1].write(b" x\r\n\r\n")
        assert (await half_sent[-1][0].readline()).startswith(b"HTTP/1.1 404")
        for _, writer in half_sent:
            writer.transport.abort()


@settings(max_examples=25)
@given(st.lists(st.binary(max_size=64) | st.sampled_from([b"GET ", b"/", b" HTTP/1.1", b"\r\n", b"\r\n\r\n"])))
def test_no_bytes_bring_it_down(parts: list[bytes]) -> None:
    async def send() -> None:
        async with _serving() as server:
            answer = await _raw(server, b"".join(parts))
            assert answer == b"" or answer.startswith(b"HTTP/1.1 ")
            assert (await _raw(server, b"GET / HTTP/1.1\r\n\r\n")).endswith(b"\r\n\r\nhere\n")

    with structlog.testing.capture_logs() as logs:
        asyncio.run(send())
    assert logs == []


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "", "metrics.example"])
def test_other_addresses_want_permission(host: str) -> None:
    with pytest.raises(ConfigError, match="allow_remote"):
        parse(MetricsConfig, {"host": host}, "test")
    assert parse(MetricsConfig, {"host": host, "allow_remote": True}, "test").host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_does_not(host: str) -> None:
    assert parse(MetricsConfig, {"host": host}, "test").host == host


async def test_a_port_that_is_taken_is_named() -> None:
    async with _serving() as server:
        _, port = server.address
        with pytest.raises(UsageError, match=str(port)):
            await MonitorServer(MetricsConfig(port=port), OK).start()


async def test_nothing_listens_after_the_close() -> None:
    async with _serving() as server:
        reader, writer = await asyncio.open_connection(*server.address)
        await eventually(lambda: server.connections > 0)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*server.address)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    writer.transport.abort()

"""A tiny HTTP server for metrics and health, on the session's own loop: GET only, loopback only unless allowed.

Every request is bounded in size and time, every connection carries one, and a new connection replaces the oldest
where there are many, so a client that is slow, silent or hostile costs a little memory for a few seconds, and never
holds up trading or keeps others out.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from pydantic import Field, model_validator

from engine.base.config import Config
from engine.base.errors import UsageError
from engine.base.log import logger
from engine.monitor.connections import Connections
from engine.monitor.loopback import is_loopback
from engine.monitor.metrics import CONTENT_TYPE

MOST_REQUEST_BYTES = 8192
PATIENCE_S = 5.0


class MetricsConfig(Config):
    """Where metrics and health are served.

    Attributes:
        enabled: Whether they are.
        host: Address to listen at.
        port: Port to listen at; 0 takes a free one.
        allow_remote: Whether the address may be another than loopback. There is no password: anyone who reaches the
            port reads equity and positions.
    """

    enabled: bool = False
    host: str = "127.0.0.1"
    port: int = Field(default=9464, ge=0, le=65535)
    allow_remote: bool = False

    @model_validator(mode="after")
    def _stays_at_home(self) -> MetricsConfig:
        if not self.allow_remote and not is_loopback(self.host):
            raise ValueError(
                f"host {self.host!r} can be reached from elsewhere: use 127.0.0.1, or set allow_remote: true "
                "if anyone who reaches the port may read equity and positions"
            )
        return self


@dataclass(frozen=True, slots=True)
class Page:
    """One answer."""

    status: HTTPStatus
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


Check = Callable[[], str | None]
Pages = Mapping[str, Callable[[], Page]]


def session_pages(metrics: Callable[[], bytes], alive: Check, ready: Check) -> Pages:
    """The pages of a session.

    Args:
        metrics: Prometheus's text format.
        alive: None while the session's loop goes round; otherwise why it is taken for dead.
        ready: None while the session trades; otherwise what it waits for.
    """
    return {
        "/metrics": lambda: Page(HTTPStatus.OK, metrics(), CONTENT_TYPE),
        "/healthz": lambda: _checked(alive()),
        "/readyz": lambda: _checked(ready()),
    }


class MonitorServer:
    """Serves pages to GET requests.

    Args:
        pages: What makes each page, by path; called on the loop, so it must be quick.
        patience_s: Seconds that a request, and then its answer, may take.

    Attributes:
        address: Host and port that it listens at; set by `start`.
    """

    def __init__(self, config: MetricsConfig, pages: Pages, *, patience_s: float = PATIENCE_S) -> None:
        self._config = config
        self._pages = pages
        self._patience_s = patience_s
        self._connections: Connections | None = None
        self.address = (config.host, config.port)

    @property
    def connections(self) -> int:
        """How many are open."""
        return 0 if self._connections is None else len(self._connections)

    async def start(self) -> None:
        """Begin to listen.

        Raises:
            UsageError: If the address cannot be had.
        """
        host, port = self._config.host, self._config.port
        try:
            listener = _listener(host, port)
        except OSError as error:
            raise UsageError(
                f"cannot serve metrics: {error.strerror or error}",
                where=f"{host}:{port}",
                hint="another process may be listening there: choose another port for the metrics",
            ) from error
        self.address = listener.getsockname()[:2]
        self._connections = Connections(listener, self._serve, MOST_REQUEST_BYTES)

    async def close(self) -> None:
        """Stop listening and cut what is open."""
        if self._connections is not None:
            await self._connections.close()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heard: Callable[[], None]
    ) -> None:
        page = await self._answer(reader)
        heard()
        writer.write(_rendered(page))
        writer.write_eof()
        # until the client has read it and hung up, since closing earlier may take the answer away from it
        async with asyncio.timeout(self._patience_s):
            await _drained(reader, writer)

    async def _answer(self, reader: asyncio.StreamReader) -> Page:
        try:
            async with asyncio.timeout(self._patience_s):
                head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return _failed(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        except TimeoutError:
            return _failed(HTTPStatus.REQUEST_TIMEOUT)
        words = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            return _failed(HTTPStatus.BAD_REQUEST)
        make = self._pages.get(words[1].partition("?")[0])
        if make is None:
            return _failed(HTTPStatus.NOT_FOUND, f"there are {', '.join(self._pages)}")
        if words[0] != "GET":
            return _failed(HTTPStatus.METHOD_NOT_ALLOWED)
        try:
            return make()
        except Exception as error:  # a tap: what goes wrong here must not reach the session
            logger("monitor").warning(
                "a page could not be created", path=words[1], why=f"{type(error).__name__}: {error}"
            )
            return _failed(HTTPStatus.INTERNAL_SERVER_ERROR)


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)


async def _drained(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await writer.drain()
    while await reader.read(MOST_REQUEST_BYTES):
        pass


def _checked(problem: str | None) -> Page:
    if problem is None:
        return Page(HTTPStatus.OK, b"ok\n")
    return Page(HTTPStatus.SERVICE_UNAVAILABLE, f"{problem}\n".encode())


def _failed(status: HTTPStatus, hint: str = "") -> Page:
    return Page(status, f"{status.phrase}{': ' if hint else ''}{hint}\n".encode())


def _rendered(page: Page) -> bytes:
    lines = [
        f"HTTP/1.1 {page.status.value} {page.status.phrase}",
        f"Content-Type: {page.content_type}",
        f"Content-Length: {len(page.body)}",
        "Cache-Control: no-store",
        "Connection: close",
    ]
    if page.status is HTTPStatus.METHOD_NOT_ALLOWED:
        lines.append("Allow: GET")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + page.body

"""A real HTTP server on loopback that keeps what it is sent and answers as it is told."""

from __future__ import annotations

import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


class Receiver:
    """Keeps the path and the JSON of every request.

    Args:
        answers: Status codes in turn; 200 when they are used up. 0 hangs up without an answer, -1 never answers and
            -2 answers something that is not HTTP.
        location: Where a redirect leads to.
        tls: Serve TLS with this context.
    """

    def __init__(self, answers: tuple[int, ...] = (), location: str = "", tls: ssl.SSLContext | None = None) -> None:
        self.answers = list(answers)
        self.location = location
        self.requests: list[tuple[str, str, Any]] = []
        self.release = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                receiver.requests.append(("GET", self.path, None))
                self._reply(200)

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.requests.append(("POST", self.path, body))
                code = receiver.answers.pop(0) if receiver.answers else 200
                if code == -1:
                    receiver.release.wait()
                if code == -2:
                    self.wfile.write(b"hello\r\n\r\n")
                if code > 0:
                    self._reply(code)

            def _reply(self, code: int) -> None:
                self.send_response(code, "said in words that quote " + self.path)
                if receiver.location:
                    self.send_header("Location", receiver.location)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

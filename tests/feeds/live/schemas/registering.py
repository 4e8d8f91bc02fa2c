"""A registry over HTTP: the part of Confluent's REST interface that readers use, and messages in its wire format."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import unquote, urlsplit

from google.protobuf import descriptor_pb2


class RegistryServer:
    """Schemas by number and by subject; counts what was asked of it.

    Attributes:
        away: Whether it answers with status 503.
        login: What it asks for, NAME:PASSWORD.
        elsewhere: Where it sends all requests, if anywhere.
        silent: Cleared, it takes requests and never answers.
    """

    def __init__(self) -> None:
        self.schemas: dict[int, dict[str, Any]] = {}
        self.subjects: dict[tuple[str, int], dict[str, Any]] = {}
        self.asked: list[str] = []
        self.away, self.login, self.elsewhere = False, "", ""
        self.silent = threading.Event()
        self.silent.set()

    def register(self, number: int, kind: str, schema: Any, references: list[dict[str, Any]] | None = None) -> None:
        self.schemas[number] = _entry(kind, schema, references)

    def refer(self, subject: str, kind: str, schema: Any, references: list[dict[str, Any]] | None = None) -> None:
        self.subjects[subject, 1] = _entry(kind, schema, references)

    @property
    def address(self) -> str:
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def __enter__(self) -> Self:
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                registry.asked.append(self.path)
                registry.silent.wait()
                status, tree = registry.answer(self.path, self.headers.get("Authorization", ""))
                body = json.dumps(tree).encode()
                self.send_response(302 if registry.elsewhere else status)
                if registry.elsewhere:
                    self.send_header("Location", registry.elsewhere + self.path)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.silent.set()
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str, login: str) -> tuple[int, dict[str, Any]]:
        if self.away:
            return 503, {"error_code": 50301, "message": "not now"}
        if self.login and login != f"Basic {base64.b64encode(self.login.encode()).decode()}":
            return 401, {"error_code": 401, "message": "who are you?"}
        parts = urlsplit(path)
        words = [unquote(word) for word in parts.path.strip("/").split("/")]
        found = (
            self.schemas.get(int(words[2]))
            if words[:2] == ["schemas", "ids"]
            else self.subjects.get((words[1], int(words[3])))
        )
        if found is None:
            return 404, {"error_code": 40403, "message": "not found"}
        text = found["serialized"] if parts.query == "format=serialized" else found["schema"]
        return 200, {key: value for key, value in found.items() if key != "serialized"} | {"schema": text}


def _entry(kind: str, schema: Any, references: list[dict[str, Any]] | None) -> dict[str, Any]:
    entry: dict[str, Any] = {} if kind == "AVRO" else {"schemaType": kind}
    if references:
        entry["references"] = references
    if kind == "PROTOBUF":
        assert isinstance(schema, descriptor_pb2.FileDescriptorProto)
        return {
            **entry,
            "schema": "the text of a .proto",
            "serialized": base64.b64encode(schema.SerializeToString()).decode(),
        }
    text = schema if isinstance(schema, str) else json.dumps(schema)
    return {**entry, "schema": text, "serialized": text}


def framed(number: int, content: bytes) -> bytes:
    return b"\x00" + number.to_bytes(4, "big") + content


def proto(name: str, fields: list[tuple[str, int, str]], nested: list[Any] = [], **more: Any) -> Any:  # noqa: B006
    """A message of a .proto file: names, types (descriptor_pb2.FieldDescriptorProto.TYPE_*), and types by name."""
    message = descriptor_pb2.DescriptorProto(name=name, nested_type=nested, **more)
    for number, (field, kind, type_name) in enumerate(fields, 1):
        message.field.add(name=field, number=number, type=kind, label=1, type_name=type_name or None)  # type: ignore[arg-type]
    return message

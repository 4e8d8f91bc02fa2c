"""Fetching schemas from a registry by their number."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import quote

from engine.base.errors import UsageError
from feeds.live.schemas.config import SchemasConfig

Kind = Literal["AVRO", "JSON", "PROTOBUF"]
KINDS: Final = ("AVRO", "JSON", "PROTOBUF")
MOST_BYTES: Final = 1 << 20
MOST_REFERENCES: Final = 100
_NOT_THERE: Final = 404
_LOGIN: Final = (401, 403)


class RegistryAway(Exception):  # noqa: N818 - reads as what happened
    """The registry gives no answer now; trying again may help."""


class NoSuchSchema(Exception):  # noqa: N818 - likewise
    """The registry has no such schema, or one that cannot be used."""


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema as it was registered.

    Attributes:
        kind: What it describes.
        text: JSON of Avro and JSON Schema; of Protobuf the file's descriptor, base64.
        references: Name and text of those it refers to, in an order in which each refers only to earlier ones.
    """

    kind: Kind
    text: str
    references: tuple[tuple[str, str], ...] = ()


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A registry that sends elsewhere would send our login there, too."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow nothing: the answer is an error then."""


class Registry:
    """Asks a registry; waits for its answers, so not for the event loop.

    Raises:
        UsageError: If the password or the certificates cannot be read.
    """

    def __init__(self, config: SchemasConfig) -> None:
        self._config = config
        self._headers = {"Accept": "application/vnd.schemaregistry.v1+json, application/json"}
        if config.password is not None:
            login = f"{config.username}:{config.password.reveal()}".encode()
            self._headers["Authorization"] = f"Basic {base64.b64encode(login).decode()}"
        try:
            context = ssl.create_default_context(cafile=config.ca_file)
        except OSError as error:
            raise UsageError(
                "cannot use the registry's certificates", where=str(config.ca_file), found=error.strerror or str(error)
            ) from error
        self._opener = urllib.request.build_opener(_NoRedirects, urllib.request.HTTPSHandler(context=context))

    def fetch(self, number: int) -> Schema:
        """The schema of that number, with those it refers to.

        Raises:
            RegistryAway: If there is no answer.
            NoSuchSchema: If there is no such schema, or it cannot be used.
            UsageError: If the registry refuses the login.
        """
        found = self._get(f"/schemas/ids/{number}")
        kind = found.get("schemaType", "AVRO")
        if kind not in KINDS:
            raise NoSuchSchema(f"schema {number} is of type {kind}, and not one of {', '.join(KINDS)}")
        if kind == "PROTOBUF":
            found |= {"schema": self._get(f"/schemas/ids/{number}?format=serialized").get("schema")}
        references: dict[str, str] = {}
        self._follow(found, kind, references)
        return Schema(kind, _text(found), tuple(references.items()))

    def _follow(self, found: dict[str, Any], kind: str, references: dict[str, str]) -> None:
        """Gather what a schema refers to, the innermost first."""
        for one in found.get("references") or ():
            name, subject, version = (one.get(key) for key in ("name", "subject", "version"))
            if not isinstance(name, str) or not isinstance(subject, str) or not isinstance(version, int):
                raise NoSuchSchema("a reference of the schema cannot be read")
            if name in references:
                continue
            if len(references) >= MOST_REFERENCES:
                raise NoSuchSchema(f"the schema refers to more than {MOST_REFERENCES} others")
            how = "?format=serialized" if kind == "PROTOBUF" else ""
            inner = self._get(f"/subjects/{quote(subject, safe='')}/versions/{version}{how}")
            references[name] = ""  # its place is taken, so that a circle ends
            self._follow(inner, kind, references)
            references[name] = references.pop(name) or _text(inner)

    def _get(self, path: str) -> dict[str, Any]:
        where = self._config.registry
        request = urllib.request.Request(where + path, headers=self._headers)  # noqa: S310 - http or https
        try:
            with self._opener.open(request, timeout=self._config.timeout_s) as answer:
                content = answer.read(MOST_BYTES + 1)
        except urllib.error.HTTPError as error:
            if error.code == _NOT_THERE:
                raise NoSuchSchema(f"the registry has nothing at {path.partition('?')[0]}") from error
            if error.code in _LOGIN:
                raise UsageError(
                    "the schema registry refuses the login",
                    where=where,
                    found=f"status {error.code}",
                    hint="give feed.schemas.username and feed.schemas.password (env:NAME or file:PATH)",
                ) from error
            raise RegistryAway(f"status {error.code}") from error
        except (OSError, http.client.HTTPException) as error:  # also one that takes too long
            reason = getattr(error, "reason", None)
            raise RegistryAway(str(reason or error) or type(error).__name__) from error
        if len(content) > MOST_BYTES:
            raise NoSuchSchema(f"the schema is larger than {MOST_BYTES:,} bytes")
        try:
            tree = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise RegistryAway("the answer is no JSON") from error
        if not isinstance(tree, dict):
            raise RegistryAway("the answer is no JSON object")
        return tree


def _text(found: dict[str, Any]) -> str:
    text = found.get("schema")
    if not isinstance(text, str):
        raise NoSuchSchema("the answer holds no schema")
    return text

"""Where the schemas of messages are registered."""

from __future__ import annotations

from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from engine.base.config import Config
from engine.base.secrets import SecretRef


class SchemasConfig(Config):
    """A schema registry with Confluent's REST interface.

    Attributes:
        registry: Its address, http:// or https://.
        username: Name to log in with.
        password: Where its password is kept, `env:NAME` or `file:PATH`.
        ca_file: Certificates to trust in place of the system's.
        timeout_s: Seconds that the answers for one schema may take.
    """

    registry: str
    username: str | None = None
    password: SecretRef | None = None
    ca_file: Path | None = None
    timeout_s: float = Field(default=10.0, gt=0, le=120)

    @field_validator("registry")
    @classmethod
    def _an_address(cls, registry: str) -> str:
        parts = urlsplit(registry)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("the registry's address is http://HOST:PORT or https://HOST:PORT")
        if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
            raise ValueError("the registry's address is shown and stored: give username and password by their keys")
        return registry.rstrip("/")

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password go together")
        if self.ca_file is not None and not self.registry.startswith("https://"):
            raise ValueError("ca_file is for a registry at https://")
        return self

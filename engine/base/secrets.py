"""Secrets by reference: configuration says where a password is kept, and never holds the password itself."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from engine.base.errors import UsageError
from engine.base.files import read_file

LARGEST = 64 * 1024  # bytes of a file that holds a secret
_FORMS = "env:NAME (an environment variable) or file:PATH (a file that holds it and nothing else)"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class SecretRef(str):
    """Where a secret is kept: `env:NAME` or `file:PATH`. Its text is the reference, fit to be shown and stored.

    Raises:
        UsageError: If the text is no reference; it is not repeated, for it may be the secret itself.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> SecretRef:
        """Check the form; whether a secret is there is found out by `reveal`."""
        if not _is_reference(text):
            raise UsageError(
                "a secret is given by reference, never as it is",
                expected=_FORMS,
                found="something else, which is not shown here",
                hint="export it in the environment, or write it to a file that only you can read",
            )
        return super().__new__(cls, text)

    def reveal(self) -> str:
        """Read the secret; one line break at the end of a file is not part of it.

        Raises:
            UsageError: If the reference points to nothing.
        """
        kind, _, place = self.partition(":")
        secret = os.environ.get(place) if kind == "env" else _read(str(self), Path(place))
        if not secret:
            raise UsageError(
                "there is no secret where the configuration points to",
                where=str(self),
                expected="an environment variable that is set" if kind == "env" else "a file that is not empty",
                hint=f"export {place}=..." if kind == "env" else f"write the secret to {place}",
            )
        return secret

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        # wrapped in a first step, so that an error of the second one cannot show what was given
        return core_schema.chain_schema(
            [
                core_schema.no_info_plain_validator_function(Unshown),
                core_schema.no_info_plain_validator_function(_checked),
            ],
            serialization=core_schema.to_string_ser_schema(),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "pattern": "^(env|file):.+", "description": f"A secret by reference: {_FORMS}."}


class Unshown:
    """What stands in a configuration where a secret may stand by mistake; nothing that prints it shows it."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __repr__(self) -> str:
        return "a value that is not shown"


def may_hold_secrets(annotation: Any) -> bool:
    """Whether a value of a type may hold a secret, at any depth, be it by mistake.

    Args:
        annotation: A type as a field of a model declares it, or a sequence of such and of the field's metadata.
    """
    if isinstance(annotation, tuple | list):
        return any(may_hold_secrets(part) for part in annotation)
    if isinstance(annotation, BeforeValidator):
        return annotation.func is Unshown
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = annotation.model_fields.values()
        return any(may_hold_secrets((field.annotation, field.metadata)) for field in fields)
    return annotation is SecretRef or may_hold_secrets(get_args(annotation))


def _checked(given: Unshown) -> SecretRef:
    if not isinstance(given.value, str) or not _is_reference(given.value):
        raise ValueError(f"a secret is given by reference, {_FORMS}")
    return SecretRef(given.value)


def _is_reference(text: str) -> bool:
    kind, _, place = text.partition(":")
    return bool(_VARIABLE.fullmatch(place)) if kind == "env" else kind == "file" and bool(place.strip())


def _read(reference: str, path: Path) -> str:
    try:
        return read_file(path.expanduser(), LARGEST).decode("utf-8").removesuffix("\n").removesuffix("\r")
    except (OSError, UnicodeDecodeError, RuntimeError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
        raise UsageError(
            "cannot read the file of a secret",
            where=reference,
            expected="a readable text file",
            found=reason,
        ) from None  # the text of a decoding error would show bytes of the file

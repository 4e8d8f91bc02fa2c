"""From a registered schema to what takes a message apart; the libraries are loaded where such a message comes."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from datetime import date, datetime
from typing import Any, Final

import msgspec

from engine.base.errors import UsageError
from feeds.live.schemas.registry import NoSuchSchema, Schema

Take = Callable[[bytes], Any]
"""From what follows the number of the schema to dictionaries, lists, numbers and text; raises ValueError."""
MOST_INDEXES: Final = 16


def reader_of(schema: Schema) -> Take:
    """What takes apart the messages of a schema.

    Raises:
        NoSuchSchema: If the schema cannot be used.
        UsageError: If the library for it is not installed.
    """
    make = {"AVRO": _avro, "JSON": _json, "PROTOBUF": _protobuf}[schema.kind]
    try:
        return make(schema)
    except ImportError as error:
        raise UsageError(
            "messages with a registered schema need packages that are not installed",
            expected="the extra `schemas`",
            found=f"no {error.name}",
            hint="pip install 'grandmodel[live,schemas]'",
        ) from error
    except (NoSuchSchema, UsageError):
        raise
    except Exception as error:  # the libraries raise nearly anything at a schema that is not one
        raise NoSuchSchema(f"the schema cannot be used: {' '.join(str(error).split())}") from error


def _avro(schema: Schema) -> Take:
    import fastavro  # noqa: PLC0415 - an extra

    named: dict[str, Any] = {}
    for _, text in schema.references:
        fastavro.parse_schema(json.loads(text), named_schemas=named)
    tree = json.loads(schema.text)
    for one in (tree, *(json.loads(text) for _, text in schema.references)):
        _refuse_weightless(one)
    parsed = fastavro.parse_schema(tree, named_schemas=named)

    def take(content: bytes) -> Any:
        stream = io.BytesIO(content)
        found = fastavro.schemaless_reader(stream, parsed)
        if stream.tell() != len(content):
            raise ValueError(f"{len(content) - stream.tell():,} bytes follow the record")
        return _plain(found)

    return _guarded(take)


def _refuse_weightless(tree: Any) -> None:
    """Refuse lists of what takes no bytes: a message of a few bytes could hold any number of them."""
    if isinstance(tree, dict):
        items = tree.get("items")
        kind = items.get("type") if isinstance(items, dict) else items
        empty = isinstance(items, dict) and (not items.get("fields", True) or items.get("size") == 0)
        if tree.get("type") == "array" and (kind == "null" or empty):
            raise NoSuchSchema("the schema has a list whose items take no bytes")
    for one in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        _refuse_weightless(one)


def _json(schema: Schema) -> Take:
    import jsonschema  # noqa: PLC0415 - an extra
    import referencing  # noqa: PLC0415 - comes with it
    import referencing.jsonschema  # noqa: PLC0415 - likewise

    tree = json.loads(schema.text)
    draft = jsonschema.validators.validator_for(tree)
    draft.check_schema(tree)
    default = referencing.jsonschema.DRAFT202012
    known = [
        (name, referencing.Resource.from_contents(json.loads(text), default_specification=default))
        for name, text in schema.references
    ]
    # its own registry: nothing is fetched from anywhere
    validator = draft(tree, registry=referencing.Registry().with_resources(known))

    def take(content: bytes) -> Any:
        found = msgspec.json.decode(content)
        for error in validator.iter_errors(found):
            raise ValueError(f"{error.json_path}: {error.message[:200]}")
        return found

    return _guarded(take)


def _protobuf(schema: Schema) -> Take:
    from google.protobuf import (  # noqa: PLC0415 - an extra
        descriptor_pb2,
        descriptor_pool,
        json_format,
        message_factory,
    )

    pool = descriptor_pool.DescriptorPool()
    own = _file(descriptor_pb2, schema.text, "message.proto")
    files = {file.name: file for file in (_file(descriptor_pb2, text, name) for name, text in schema.references)}

    def add(file: Any, above: tuple[str, ...] = ()) -> None:
        for name in file.dependency:
            if name in above:
                raise NoSuchSchema(f"{name} refers to itself")
            if name in files:
                add(files[name], (*above, name))
            elif name.startswith("google/protobuf/"):
                well_known = descriptor_pb2.FileDescriptorProto()
                _well_known(name).CopyToProto(well_known)
                pool.Add(well_known)
            else:
                raise NoSuchSchema(f"the schema refers to {name}, which the registry does not name")
        pool.Add(file)

    add(own)
    top = pool.FindFileByName(own.name).message_types_by_name.values()
    messages = list(top)

    def take(content: bytes) -> Any:
        path, at = _indexes(content)
        descriptor = _within(messages, path)
        message = message_factory.GetMessageClass(descriptor)()
        message.ParseFromString(content[at:])
        return json_format.MessageToDict(
            message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True, descriptor_pool=pool
        )

    return _guarded(take)


def _file(descriptor_pb2: Any, text: str, name: str) -> Any:
    file = descriptor_pb2.FileDescriptorProto.FromString(base64.b64decode(text, validate=True))
    file.name = file.name if file.name not in {"", "default"} else name
    return file


def _well_known(name: str) -> Any:
    """A file that comes with the library."""
    import importlib  # noqa: PLC0415 - only for a schema that refers to one

    module = name.removeprefix("google/protobuf/").removesuffix(".proto")
    if not module.isidentifier():
        raise NoSuchSchema(f"there is no {name}")
    return importlib.import_module(f"google.protobuf.{module}_pb2").DESCRIPTOR


def _indexes(content: bytes) -> tuple[list[int], int]:
    """Which message of the file it is, as places within places, and where it begins; [0] is written as 0."""
    count, at = _zigzag(content, 0)
    if count == 0:
        return [0], at
    if not 0 < count <= MOST_INDEXES:
        raise ValueError(f"{count} message indexes")
    path = []
    for _ in range(count):
        place, at = _zigzag(content, at)
        path.append(place)
    return path, at


def _zigzag(content: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 35, 7):
        if at >= len(content):
            break
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at
    raise ValueError("the message indexes are cut off")


def _within(messages: list[Any], path: list[int]) -> Any:
    descriptor, among = None, messages
    for place in path:
        if not 0 <= place < len(among):
            raise ValueError(f"the schema has no message {'.'.join(map(str, path))}")
        descriptor = among[place]
        among = list(descriptor.nested_types)
    return descriptor


def _guarded(take: Take) -> Take:
    """What the libraries raise at damaged bytes is a ValueError."""

    def guarded(content: bytes) -> Any:
        try:
            return take(content)
        except ValueError:
            raise
        except Exception as error:  # EOFError, IndexError, UnicodeError, KeyError, DecodeError, RecursionError ...
            raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error

    return guarded


def _plain(tree: Any) -> Any:
    """Times as text; other types of Avro are plain already, or are no part of a bar."""
    if isinstance(tree, dict):
        return {key: _plain(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_plain(value) for value in tree]
    return tree.isoformat() if isinstance(tree, date | datetime) else tree

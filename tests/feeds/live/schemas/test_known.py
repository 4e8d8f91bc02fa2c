"""Messages with registered schemas: Avro, JSON Schema, Protobuf; what is damaged, what is not there, who is away."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("fastavro")
pytest.importorskip("jsonschema")
pytest.importorskip("google.protobuf")

import fastavro
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2

from engine.base.config import parse
from engine.base.errors import ConfigError, UsageError
from feeds.live.checks import REASONS
from feeds.live.fields import FieldsConfig
from feeds.live.mapped import MappedDecoder
from feeds.live.messages import BarMessage
from feeds.live.schemas.config import SchemasConfig
from feeds.live.schemas.known import KnownSchemas
from feeds.live.schemas.registry import RegistryAway
from feeds.live.source import Record
from tests.feeds.live.schemas.registering import RegistryServer, framed, proto

NOON = 1_672_574_400_000_000_000
BAR = BarMessage("ES", NOON, 1.5, 2.0, 1.0, 1.75, 12.0)
PRICES = {"open": 1.5, "high": 2.0, "low": 1.0, "close": 1.75}
TIME = {"type": "long", "logicalType": "timestamp-micros"}
AVRO = {
    "type": "record",
    "name": "Bar",
    "fields": [
        {"name": "symbol", "type": "string"},
        {"name": "timestamp", "type": TIME},
        *({"name": name, "type": "double"} for name in PRICES),
        {"name": "volume", "type": ["null", "double"], "default": None},
    ],
}
NUMBER = {"type": "number"}
JSON = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "properties": {"symbol": {"type": "string"}, "timestamp": {"type": "integer"}, **dict.fromkeys(PRICES, NUMBER)},
    "required": ["timestamp", *PRICES],
}
F = descriptor_pb2.FieldDescriptorProto
STAMP = ".google.protobuf.Timestamp"
FIELDS = [
    ("symbol", F.TYPE_STRING, ""),
    ("timestamp", F.TYPE_INT64, ""),
    *((name, F.TYPE_DOUBLE, "") for name in (*PRICES, "volume")),
]


@pytest.fixture
def registry() -> Iterator[RegistryServer]:
    with RegistryServer() as server:
        yield server


def known(registry: RegistryServer, *payloads: bytes, **config: Any) -> KnownSchemas:
    schemas = KnownSchemas(parse(SchemasConfig, {"registry": registry.address, **config}, where="test"))
    asyncio.run(schemas.prepare([Record("p", 0, payload) for payload in payloads], 0.0))
    return schemas


def read(schemas: KnownSchemas, payload: bytes, **fields: Any) -> Any:
    return MappedDecoder(FieldsConfig.model_validate(fields), schemas.parsed)(Record("p", 0, payload))


def avro(schema: Any, tree: Any) -> bytes:
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(schema), tree)
    return stream.getvalue()


def avro_bar(**more: Any) -> bytes:
    tree = {"symbol": "ES", "timestamp": NOON // 1000, "volume": 12.0, **PRICES, **more}
    return avro(json.loads(json.dumps(AVRO).replace(json.dumps(TIME), '"long"')), tree)


def proto_file(*messages: Any, name: str = "bars.proto", dependency: tuple[str, ...] = ()) -> Any:
    return descriptor_pb2.FileDescriptorProto(name=name, syntax="proto3", message_type=messages, dependency=dependency)


def proto_bytes(file: Any, name: str, *others: Any, **values: Any) -> bytes:
    pool = descriptor_pool.DescriptorPool()
    for one in (*others, file):
        pool.Add(one)
    message = message_factory.GetMessageClass(pool.FindMessageTypeByName(name))(**values)
    return bytes(message.SerializeToString())


def test_avro(registry: RegistryServer) -> None:
    registry.register(7, "AVRO", AVRO)
    payload = framed(7, avro_bar())
    schemas = known(registry, payload)
    assert read(schemas, payload) == ([BAR], [])
    [bar], _ = read(schemas, framed(7, avro_bar(volume=None)))
    assert str(bar.volume) == "nan"
    good, [letter] = read(schemas, payload + b"x")
    assert not good and letter.reason == "malformed" and "1 bytes follow the record" in letter.found
    for cut in range(5, len(payload)):
        good, refused = read(schemas, payload[:cut])
        assert not good and len(refused) == 1


def test_avro_with_references_and_a_mapping(registry: RegistryServer) -> None:
    prices = {
        "type": "record",
        "name": "Prices",
        "namespace": "x",
        "fields": [{"name": n, "type": "string"} for n in "ohlc"],
    }
    outer = {
        "type": "record",
        "name": "Candle",
        "fields": [
            {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
            {"name": "p", "type": "x.Prices"},
        ],
    }
    registry.refer("prices-value", "AVRO", prices)
    registry.register(9, "AVRO", outer, [{"name": "x.Prices", "subject": "prices-value", "version": 1}])
    whole = json.loads(json.dumps(outer))
    whole["fields"][1]["type"] = prices
    whole["fields"][0]["type"] = "long"
    payload = framed(9, avro(whole, {"at": NOON // 10**6, "p": {"o": "1.5", "h": "2", "l": "1", "c": "1.75"}}))
    fields = {"timestamp": "at", **{name: f"p.{name[0]}" for name in PRICES}}
    [bar], refused = read(known(registry, payload), payload, **fields)
    assert (bar.ts_event, bar.open, bar.close, refused) == (NOON, 1.5, 1.75, [])


def test_json_schema(registry: RegistryServer) -> None:
    registry.register(3, "JSON", JSON)
    tree = {"symbol": "ES", "timestamp": NOON, "volume": 12, **PRICES}
    payload = framed(3, json.dumps(tree).encode())
    schemas = known(registry, payload)
    assert read(schemas, payload) == ([BAR], [])
    _, [letter] = read(schemas, framed(3, json.dumps({**tree, "close": "1.75"}).encode()))
    assert "$.close" in letter.found and letter.expected == "a message of schema 3"
    assert read(schemas, framed(3, b"{"))[1][0].reason == "malformed"


def test_json_schema_fetches_nothing_from_elsewhere(registry: RegistryServer) -> None:
    registry.refer("number", "JSON", {"type": "number"})
    properties = {**JSON["properties"], "close": {"$ref": "number.json"}}  # type: ignore[dict-item]
    registry.register(
        4, "JSON", {**JSON, "properties": properties}, [{"name": "number.json", "subject": "number", "version": 1}]
    )
    registry.register(5, "JSON", {**JSON, "properties": {"close": {"$ref": f"{registry.address}/elsewhere"}}})
    bodies = json.dumps({"symbol": "ES", "timestamp": NOON, "volume": 12, **PRICES}).encode()
    schemas = known(registry, framed(4, bodies), framed(5, bodies))
    assert read(schemas, framed(4, bodies)) == ([BAR], [])
    assert read(schemas, framed(5, bodies))[1][0].reason == "malformed"
    assert not [path for path in registry.asked if "elsewhere" in path]


def test_protobuf(registry: RegistryServer) -> None:
    file = proto_file(proto("Other", []), proto("Bar", FIELDS, [proto("Inner", FIELDS)]))
    registry.register(11, "PROTOBUF", file)
    values = {"symbol": "ES", "timestamp": NOON, "volume": 12.0, **PRICES}
    first = framed(11, b"\x02\x02" + proto_bytes(file, "Bar", **values))  # one index: place 1
    inner = framed(11, b"\x04\x02\x00" + proto_bytes(file, "Bar.Inner", **values))
    schemas = known(registry, first)
    assert read(schemas, first) == ([BAR], [])
    assert read(schemas, inner) == ([BAR], [])
    silent = framed(11, b"\x02\x02" + proto_bytes(file, "Bar", **{**values, "volume": 0.0}))
    assert read(schemas, silent)[0][0].volume == 0.0
    for damaged in (framed(11, b"\x02\x09"), framed(11, b""), framed(11, b"\x40" * 20), first[:-3]):
        good, [letter] = read(schemas, damaged)
        assert not good and letter.reason in {"malformed", "missing_field"}, damaged


def test_protobuf_with_references_and_times(registry: RegistryServer) -> None:
    inner = proto_file(proto("Prices", [(name, F.TYPE_DOUBLE, "") for name in PRICES]), name="prices.proto")
    outer = proto_file(
        proto("Candle", [("at", F.TYPE_MESSAGE, STAMP), ("p", F.TYPE_MESSAGE, ".Prices")]),
        dependency=("prices.proto", "google/protobuf/timestamp.proto"),
    )
    registry.refer("prices", "PROTOBUF", inner)
    registry.register(12, "PROTOBUF", outer, [{"name": "prices.proto", "subject": "prices", "version": 1}])
    stamp = descriptor_pb2.FileDescriptorProto()
    timestamp_pb2.DESCRIPTOR.CopyToProto(stamp)
    content = proto_bytes(outer, "Candle", inner, stamp, at={"seconds": NOON // 10**9}, p=PRICES)
    payload = framed(12, b"\x00" + content)
    fields = {"timestamp": "at", **{name: f"p.{name}" for name in PRICES}}
    [bar], refused = read(known(registry, payload), payload, **fields)
    assert (bar.ts_event, bar.high, refused) == (NOON, 2.0, [])


def test_a_schema_is_asked_for_once_and_then_kept(registry: RegistryServer) -> None:
    registry.register(7, "AVRO", AVRO)
    payload = framed(7, avro_bar())
    schemas = known(registry, payload, payload)
    assert registry.asked == ["/schemas/ids/7"] and schemas.changed
    other = KnownSchemas(parse(SchemasConfig, {"registry": "http://127.0.0.1:1"}, where="test"))
    other.restore(schemas.snapshot())
    asyncio.run(other.prepare([Record("p", 0, payload)], 0.0))
    assert read(other, payload) == ([BAR], []) and not other.changed


@pytest.mark.parametrize(
    ("kind", "schema", "found"),
    [
        ("AVRO", "no schema", "cannot be used"),
        ("AVRO", {"type": "record", "name": "X", "fields": [{"name": "a", "type": "unheard.of"}]}, "unheard.of"),
        ("AVRO", {"type": "array", "items": "null"}, "items take no bytes"),
        ("AVRO", [{"type": "array", "items": {"type": "record", "name": "E", "fields": []}}], "items take no bytes"),
        ("JSON", {"type": 5}, "cannot be used"),
        ("THRIFT", {}, "THRIFT"),
    ],
)
def test_a_schema_that_cannot_be_used_refuses_its_messages(
    registry: RegistryServer, kind: str, schema: Any, found: str
) -> None:
    registry.register(1, kind, schema)
    payload = framed(1, b"anything")
    good, [letter] = read(known(registry, payload), payload)
    assert not good and letter.reason == "unknown_schema" and found in letter.found


def test_a_number_without_a_schema_is_asked_for_again(registry: RegistryServer) -> None:
    payload = framed(7, avro_bar())
    schemas = known(registry, payload)
    assert read(schemas, payload)[1][0].reason == "unknown_schema"
    registry.register(7, "AVRO", AVRO)
    asyncio.run(schemas.prepare([Record("p", 0, payload)], 0.0))
    assert read(schemas, payload) == ([BAR], [])


def test_a_registry_that_is_away_is_waited_for(registry: RegistryServer) -> None:
    registry.register(7, "AVRO", AVRO)
    payload = framed(7, avro_bar())
    registry.away = True
    with pytest.raises(RegistryAway):
        known(registry, payload)
    schemas = KnownSchemas(parse(SchemasConfig, {"registry": registry.address}, where="test"))

    async def wait() -> None:
        fetching = asyncio.ensure_future(schemas.prepare([Record("p", 0, payload)]))
        while schemas.status is None:
            await asyncio.sleep(0.01)
        assert "status 503" in schemas.status
        registry.away = False
        await fetching

    asyncio.run(wait())
    assert schemas.status is None and read(schemas, payload) == ([BAR], [])


def test_logins(registry: RegistryServer, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.register(7, "AVRO", AVRO)
    registry.login = "me:word"
    payload = framed(7, avro_bar())
    with pytest.raises(UsageError, match=r"refuses the login"):
        known(registry, payload)
    monkeypatch.setenv("WORD", "word")
    assert read(known(registry, payload, username="me", password="env:WORD"), payload) == ([BAR], [])


def test_a_login_goes_to_the_registry_alone(registry: RegistryServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORD", "word")
    payload = framed(7, avro_bar())
    with RegistryServer() as other:
        other.register(7, "AVRO", AVRO)
        registry.elsewhere = other.address
        with pytest.raises(RegistryAway, match="302"):
            known(registry, payload, username="me", password="env:WORD")
        assert not other.asked


def test_a_registry_that_never_answers_holds_up_no_end(registry: RegistryServer) -> None:
    registry.silent.clear()
    schemas = KnownSchemas(parse(SchemasConfig, {"registry": registry.address, "timeout_s": 100}, where="test"))

    async def ask() -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(schemas.prepare([Record("p", 0, framed(7, b""))]), 0.5)

    began = time.monotonic()
    asyncio.run(ask())
    assert time.monotonic() - began < 50
    with pytest.raises(RegistryAway, match="no answer in time"):
        known(registry, framed(7, b""), timeout_s=0.2)


@pytest.mark.parametrize("payload", [b"", b"\x00", b"\x00\x00\x00\x00", b'{"open": 1}', b"\x01\x00\x00\x00\x07"])
def test_a_message_without_a_schemas_number_is_refused(registry: RegistryServer, payload: bytes) -> None:
    good, [letter] = read(known(registry, payload), payload)
    assert not good and letter.reason == "malformed" and "feed.schemas" in letter.expected


def test_whatever_follows_the_number_nothing_is_raised(registry: RegistryServer) -> None:
    registry.register(1, "AVRO", AVRO)
    registry.register(2, "JSON", JSON)
    registry.register(3, "PROTOBUF", proto_file(proto("Bar", FIELDS)))
    schemas = known(registry, *(framed(number, b"") for number in (1, 2, 3)))

    @given(st.binary(max_size=60))
    def check(content: bytes) -> None:
        for number in (1, 2, 3):
            _, refused = read(schemas, framed(number, content))
            assert {letter.reason for letter in refused} <= set(REASONS)

    check()


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"registry": "ftp://x"}, "http://HOST:PORT"),
        ({"registry": "http://a:b@x"}, "username and password by their keys"),
        ({"registry": "http://x", "username": "me"}, "go together"),
        ({"registry": "http://x", "ca_file": "ca.pem"}, "https://"),
        ({"registry": "http://x", "username": "me", "password": "secret"}, "by reference"),
    ],
)
def test_mistakes_of_the_configuration_are_named(config: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse(SchemasConfig, config, where="test")

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.base.config import Config, parse
from engine.base.errors import ConfigError, UsageError
from engine.base.secrets import SecretRef
from feeds.live.address import AddressText, FeedAddress, FeedSecurity, parse_address


def refusal(text: str, *, publishing: bool = False) -> str:
    with pytest.raises(UsageError) as caught:
        parse_address(text, publishing=publishing)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("kafka://localhost/bars", FeedAddress("kafka", (("localhost", 9092),), "bars")),
        ("kafka://a:1,b:65535/b.1-_", FeedAddress("kafka", (("a", 1), ("b", 65535)), "b.1-_")),
        ("kafka://[::1]:9/bars", FeedAddress("kafka", (("::1", 9),), "bars")),
        ("kafka://h/bars?from=latest", FeedAddress("kafka", (("h", 9092),), "bars", "latest")),
        ("kafka://h/bars?from=1970-01-01T00:00:01.5", FeedAddress("kafka", (("h", 9092),), "bars", 1_500_000_000)),
        ("kafka://h/bars?from=1970-01-01T02:00:00+02:00", FeedAddress("kafka", (("h", 9092),), "bars", 0)),
        ("kafkas://h/b", FeedAddress("kafka", (("h", 9092),), "b", security=FeedSecurity(tls=True))),
        ("mqtt://h/bars/+/1min/#", FeedAddress("mqtt", (("h", 1883),), "bars/+/1min/#")),
        ("mqtt://h//a%3Fb?client_id=me", FeedAddress("mqtt", (("h", 1883),), "/a?b", client_id="me")),
        ("mqtts://h/#", FeedAddress("mqtt", (("h", 8883),), "#", security=FeedSecurity(tls=True))),
        ("replay:some%20bars.csv?speed=60", FeedAddress("replay", topic="some%20bars.csv", speed="60")),
        (" stdin ", FeedAddress("stdin")),
        ("-", FeedAddress("stdin")),
    ],
)
def test_reads_addresses(text: str, address: FeedAddress) -> None:
    assert parse_address(text) == address


def test_the_scheme_decides_about_encryption() -> None:
    assert parse_address("mqtts://h/a?tls=false").security.tls


@pytest.mark.parametrize(("text", "kind"), [("stdout", "stdout"), ("-", "stdout"), ("mqtt://h/a", "mqtt")])
def test_reads_where_to_publish(text: str, kind: str) -> None:
    assert parse_address(text, publishing=True).kind == kind


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kafak://h/t", "did you mean 'kafka'"),
        ("bars.csv", "replay:FILE"),
        ("", "not the address"),
        ("kafka:h/t", "lacks its host"),
        ("kafka:///t", "lacks its host"),
        ("kafka://h", "lacks its topic"),
        ("kafka://h/", "h:9092/TOPIC"),
        ("kafka://h?from=latest", "lacks its topic"),
        ("kafka://h:0/t", "'h:0'"),
        ("kafka://h:65536/t", "from 1 to 65535"),
        ("kafka://h:x/t", "'h:x'"),
        ("kafka://h,/t", "cannot read a host"),
        ("kafka://h/a/b", "letters, digits"),
        ("kafka://h/..", "letters, digits"),
        ("kafka://h/t?form=latest", "did you mean 'from'"),
        ("kafka://h/t?client_id=a", "no key 'client_id'"),
        ("kafka://h/t?from=latest&from=latest", "twice"),
        ("kafka://h/t?from=yesterday", "'yesterday'"),
        ("kafka://h/t?username=a", "requires a password"),
        ("kafka://h/t?username=a&password=env:A&sasl_mechanism=NTLM", "SCRAM-SHA-256"),
        ("kafka://h/t?ca_file=ca.pem", "encrypted connections only"),
        ("mqtts://h/t?key_file=key.pem", "needs cert_file"),
        ("mqtt://h/t?password=env:A", "needs a username"),
        ("mqtt://h,i/t", "one broker"),
        ("mqtt://h/a/#/b", "malformed"),
        ("mqtt://h/a+/b", "malformed"),
        ("replay:", "needs a file"),
        ("replay:f?speed=fast", "'fast'"),
        ("stdout", "gives no bars"),
    ],
)
def test_names_what_is_wrong(text: str, words: str) -> None:
    assert words in refusal(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [("stdin", "cannot be published"), ("replay:f", "cannot be published"), ("mqtt://h/a/#", "without # and +")],
)
def test_what_cannot_be_published_to(text: str, words: str) -> None:
    assert words in refusal(text, publishing=True)


@given(st.text(alphabet="ABCxyz789/?:&=@%+ ", min_size=8), st.sampled_from(["kafka", "mqtts"]))
def test_a_literal_password_is_refused_and_never_repeated(secret: str, scheme: str) -> None:
    assert secret not in refusal(f"{scheme}://me:q{secret}@host:1234/topic")
    literal = secret.replace("&", "")
    assert len(literal) < 4 or literal not in refusal(f"{scheme}://host/topic?username=me&password=q{literal}")


def test_logins_by_reference() -> None:
    text = "kafkas://h/t?username=me&password=file:/run/kafka%26pw&sasl_mechanism=SCRAM-SHA-512&verify=false&ca_file=ca"
    address = parse_address(text)
    assert address.security == FeedSecurity(
        username="me",
        password=SecretRef("file:/run/kafka&pw"),
        tls=True,
        ca_file=Path("ca"),
        verify=False,
        sasl_mechanism="SCRAM-SHA-512",
    )
    assert address.shown == "kafkas://h:9092/t"


def test_the_query_decides_over_the_configuration() -> None:
    security = FeedSecurity(username="me", password=SecretRef("env:MINE"))
    assert parse_address("mqtt://h/t", security).security == security
    assert parse_address("mqtt://h/t?username=you", security).security.username == "you"
    assert parse_address("mqtts://h/t", security).security.password == "env:MINE"


def test_positions_do_not_depend_on_the_host() -> None:
    one, other = parse_address("kafka://a:1/bars"), parse_address("kafkas://b:2,c/bars?from=latest")
    assert one.identity == other.identity == "kafka:bars"
    assert parse_address("mqtt://a/bars").identity == "mqtt:bars"
    assert parse_address("replay:x.csv?speed=2").identity == "replay:x.csv"
    assert parse_address("stdin").identity == "stdin"


@pytest.mark.parametrize("text", ["kafka://a:1,[::1]:2/b", "mqtts://h:8883/a/#", "replay:f?speed=60", "stdin"])
def test_what_is_shown_can_be_read_again(text: str) -> None:
    address = parse_address(text)
    assert address.shown == text
    assert parse_address(address.shown) == address


class Holder(Config):
    address: AddressText = ""


def test_a_configuration_names_the_mistake_and_not_the_login() -> None:
    assert parse(Holder, {"address": "kafka://h/bars"}, "x.yaml").address == "kafka://h/bars"
    assert Holder().address == ""
    with pytest.raises(ConfigError, match="a login must not") as caught:
        parse(Holder, {"address": "kafka://me:hunter2@h/bars"}, "x.yaml")
    assert "hunter2" not in str(caught.value) and "address:" in str(caught.value)
    with pytest.raises(ConfigError, match="did you mean 'mqtt'"):
        parse(Holder, {"address": "mqt://h/bars"}, "x.yaml")
    with pytest.raises(ConfigError, match="expected kafka://"):
        parse(Holder, {"address": 7}, "x.yaml")


def test_certificates_from_elsewhere_go_with_an_encrypted_scheme() -> None:
    security = FeedSecurity(ca_file=Path("ca.pem"))
    assert parse_address("kafkas://h/t", security).security.ca_file == Path("ca.pem")
    with pytest.raises(UsageError, match="encrypted connections only"):
        parse_address("kafka://h/t", security)


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("mqtt://h/" + "a" * 65_536, "65,536 bytes"),
        ("mqtt://h/a%00b", "a zero byte"),
        ("mqtt://h/bars?client_id=", "0 bytes"),
        ("mqtt://h/bars?client_id=a%00", "a zero byte"),
        ("mqtt://h/bars?username=" + "%C3%A9" * 40_000, "80,000 bytes"),
        ("kafka://h/bars?username=a%00&password=env:P", "a zero byte"),
    ],
)
def test_what_no_broker_can_be_told_is_refused(address: str, found: str) -> None:
    with pytest.raises(UsageError, match="cannot be sent to a broker") as caught:
        parse_address(address)
    assert caught.value.found == found
    assert len(str(caught.value)) < 500
    assert "\0" not in str(caught.value)

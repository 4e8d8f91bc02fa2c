"""Names by which an MQTT broker tells its readers apart: at most 23 letters and digits, which every broker takes."""

from __future__ import annotations

import hashlib
import secrets


def client_id_of(session: str, identity: str) -> str:
    """The client id of a session that was given a name: the same at every start.

    Args:
        identity: Of the feed; see `feeds.live.address.FeedAddress.identity`.
    """
    return "gm" + hashlib.sha256(f"{session}\n{identity}".encode()).hexdigest()[:20]


def new_client_id() -> str:
    """A client id that nobody has."""
    return "gm" + secrets.token_hex(10)

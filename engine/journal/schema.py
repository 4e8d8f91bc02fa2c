"""What the journal of a live session holds: one SQLite file, written one transaction per delivery.

| table | holds |
|---|---|
| meta | the session itself (`session`, JSON) and the close of its first bar (`first_ns`) |
| blocks | rows in order: their bars and everything that happened in them, as arrays (`engine.journal.blocks`) |
| operations | the operator's commands, each with the number of the row it precedes |
| activations | models, with the number of the row from which they decide |
| positions | the offset at which each partition resumes |
| state | the latest state of every part that carries one, and the number of the row behind it |
| dead_letters | messages that could not be used, and whether they were handed on |
| gaps | bars missing while the market was open |
| counters | running counts |
| seal | the combined digests of the tables that affect decisions (`engine.journal.digests`) |

Rows of meta, operations, activations, positions, state and counters carry a digest of their values.
"""

from __future__ import annotations

APPLICATION_ID = 0x474D4A31
VERSION = 2
# without digests; still readable; digests are added when a session resumes from it
OLD_VERSION = 1

BLOCKS = """
CREATE TABLE IF NOT EXISTS {schema}.blocks (
    seq INTEGER PRIMARY KEY,
    rows INTEGER NOT NULL,
    first_ts INTEGER NOT NULL,
    last_ts INTEGER NOT NULL,
    crc INTEGER NOT NULL,
    bars BLOB NOT NULL,
    ledger BLOB NOT NULL,
    positions BLOB NOT NULL,
    account BLOB NOT NULL,
    fills BLOB,
    events BLOB,
    decisions BLOB,
    outputs BLOB
)
"""

INSERT_BLOCK = "INSERT {replace}INTO {schema}.blocks VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)"

SEAL = "CREATE TABLE seal (id INTEGER PRIMARY KEY, body BLOB NOT NULL, digest INTEGER NOT NULL)"

TABLES = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL, digest INTEGER NOT NULL) WITHOUT ROWID",
    BLOCKS.format(schema="main"),
    """
    CREATE TABLE operations (
        id INTEGER PRIMARY KEY,
        seq INTEGER NOT NULL,
        ts_event INTEGER NOT NULL,
        kind INTEGER NOT NULL,
        by TEXT NOT NULL,
        digest INTEGER NOT NULL
    )
    """,
    """
    CREATE TABLE activations (
        seq INTEGER PRIMARY KEY,
        version TEXT NOT NULL,
        sha256 TEXT NOT NULL,
        digest INTEGER NOT NULL
    )
    """,
    """
    CREATE TABLE positions (
        partition TEXT PRIMARY KEY,
        position TEXT NOT NULL,
        digest INTEGER NOT NULL
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE state (
        name TEXT PRIMARY KEY,
        seq INTEGER NOT NULL,
        body BLOB NOT NULL,
        digest INTEGER NOT NULL
    )
    """,
    """
    CREATE TABLE dead_letters (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        seq INTEGER NOT NULL,
        partition TEXT NOT NULL,
        offset INTEGER NOT NULL,
        reason TEXT NOT NULL,
        expected TEXT NOT NULL,
        found TEXT NOT NULL,
        payload BLOB NOT NULL,
        sent INTEGER NOT NULL DEFAULT 0
    )
    """,
    "CREATE INDEX unsent ON dead_letters (id) WHERE sent = 0",
    """
    CREATE TABLE gaps (
        id INTEGER PRIMARY KEY,
        seq INTEGER NOT NULL,
        symbol TEXT NOT NULL,
        after_ns INTEGER NOT NULL,
        before_ns INTEGER NOT NULL,
        missing INTEGER NOT NULL
    )
    """,
    "CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL, digest INTEGER NOT NULL) WITHOUT ROWID",
    SEAL,
)

"""The tables of the ledger's database, in their present `version`.

Money is pico-dollars, times are Unix seconds (floats), flags are booleans.
"""

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, Integer, MetaData, String, Table, Text, false

metadata = MetaData()

usage = Table(  # the fields of `row.Row`, and who booked it
    "usage",
    metadata,
    Column("request_id", String, primary_key=True),
    Column("time", Double, nullable=False, index=True),
    Column("key", String),
    Column("key_name", String),
    Column("dialect", String, nullable=False),
    Column("model", String, nullable=False),
    Column("target", String),
    Column("account", String),
    Column("decision", String),
    Column("status", Integer, nullable=False),
    Column("error", String),
    Column("stream", Boolean, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("input", BigInteger, nullable=False),
    Column("cached", BigInteger, nullable=False),
    Column("cache_write", BigInteger, nullable=False),
    Column("cache_write_1h", BigInteger, nullable=False),
    Column("output", BigInteger, nullable=False),
    Column("reasoning", BigInteger, nullable=False),
    Column("audio_input", BigInteger, nullable=False),
    Column("audio_output", BigInteger, nullable=False),
    Column("estimated", Boolean, nullable=False),
    Column("cost", BigInteger),
    Column("admit", Double),
    Column("route", Double),
    Column("queue", Double),
    Column("upstream", Double),
    Column("ttft", Double),
    Column("total", Double),
    Column("resumed", Integer, nullable=False, server_default="0"),
    Column("hedged", Boolean, nullable=False, server_default=false()),
    Column("shares", Text, nullable=False, server_default="[]"),  # JSON
    Column("lossy", Text, nullable=False),  # JSON
    Column("tags", Text, nullable=False),  # JSON
    Column("day", String(10), nullable=False),  # of `time`, UTC, ISO
    Column("writer", String, nullable=False),
    Index("usage_key_time", "key", "time"),
)

decisions = Table(  # the records of what routes chose; the rest of a decision is in the row of its request
    "decisions",
    metadata,
    Column("id", String, primary_key=True),
    Column("request_id", String, nullable=False),
    Column("time", Double, nullable=False, index=True),
    Column("record", Text, nullable=False),  # JSON: `routing.record.Record`
)

feedback = Table(  # what people and programs said of answers
    "feedback",
    metadata,
    Column("id", String, primary_key=True),
    Column("decision", String, nullable=False, index=True),
    Column("time", Double, nullable=False, index=True),
    Column("key", String),  # of who said it
    Column("quality", Double),  # 0..1
    Column("corrected", String),  # the model that should have answered
    Column("source", String, nullable=False),
)

spending = Table(  # what each key spent, kept up in the transaction that books the rows; outlives them
    "spending",
    metadata,
    Column("key", String, primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("writer", String, primary_key=True),
    Column("cost", BigInteger, nullable=False),
)

keys = Table(
    "keys",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("digest", String(64), nullable=False, unique=True),  # SHA-256 of the secret, hex
    Column("created", Double, nullable=False),
    Column("expires", Double),
    Column("budget", BigInteger),
    Column("period", String(5)),  # day, month, or NULL: for ever
    Column("rpm", Integer),
    Column("tpm", Integer),
    Column("models", Text),  # JSON list; NULL: all
    Column("admin", Boolean, nullable=False),
    Column("revoked", Double),
)

priorities = Table(  # of keys whose calls do not wait in the usual class
    "priorities",
    metadata,
    Column("key", String, primary_key=True),
    Column("priority", Integer, nullable=False),
)

folded = Table(  # how far each journal file is in the database
    "folded",
    metadata,
    Column("file", String, primary_key=True),
    Column("position", BigInteger, nullable=False),
)

meta = Table("meta", metadata, Column("name", String, primary_key=True), Column("value", String, nullable=False))

responses = Table(  # what the Responses API stores
    "responses",
    metadata,
    Column("id", String, primary_key=True),
    Column("owner", String),  # the key that made it
    Column("created", Double, nullable=False, index=True),
    Column("record", Text, nullable=False),  # JSON
)

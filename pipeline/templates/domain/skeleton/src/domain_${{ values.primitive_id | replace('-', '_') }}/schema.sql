-- Every table has the tenant first in its key: a query without it cannot use an index,
-- and the tests refuse a statement that lacks it.
CREATE TABLE IF NOT EXISTS records (
    position   INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant_id  TEXT    NOT NULL CHECK (tenant_id <> ''),
    entity     TEXT    NOT NULL,
    id         TEXT    NOT NULL,
    version    INTEGER NOT NULL CHECK (version > 0),
    name       TEXT    NOT NULL,
    attributes TEXT    NOT NULL,
    created_at TEXT    NOT NULL,
    updated_at TEXT    NOT NULL,
    UNIQUE (tenant_id, entity, id)
);

CREATE INDEX IF NOT EXISTS records_by_position ON records (tenant_id, entity, position);

CREATE TABLE IF NOT EXISTS idempotency_keys (
    tenant_id    TEXT NOT NULL CHECK (tenant_id <> ''),
    entity       TEXT NOT NULL,
    key          TEXT NOT NULL,
    request_hash TEXT NOT NULL,
    response     TEXT NOT NULL,
    created_at   TEXT NOT NULL,
    PRIMARY KEY (tenant_id, entity, key)
);

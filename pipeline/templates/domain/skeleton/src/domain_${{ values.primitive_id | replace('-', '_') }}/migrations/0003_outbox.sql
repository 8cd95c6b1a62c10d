-- Events that nobody has heard of yet; a published one is deleted.
CREATE TABLE outbox (
    tenant_id   text        NOT NULL CHECK (tenant_id <> ''),
    position    bigint      GENERATED ALWAYS AS IDENTITY,
    id          uuid        NOT NULL,
    entity_type text        NOT NULL,
    entity_id   uuid        NOT NULL,
    version     bigint      NOT NULL,
    change      text        NOT NULL CHECK (change IN ('created', 'updated', 'deleted')),
    occurred_at timestamptz NOT NULL,
    name        text        NOT NULL,
    attributes  jsonb       NOT NULL,
    attempts    integer     NOT NULL DEFAULT 0,
    due_at      timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id)
);

CREATE INDEX outbox_due ON outbox (due_at, position);

ALTER TABLE outbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE outbox FORCE ROW LEVEL SECURITY;

-- The relay's policy, which lets its role alone see all tenants here, is in grants.sql.
CREATE POLICY own_tenant ON outbox
    USING (tenant_id = current_setting('app.tenant_id', true))
    WITH CHECK (tenant_id = current_setting('app.tenant_id', true));

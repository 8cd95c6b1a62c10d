-- Every table names its tenant first, and shows and takes rows of the transaction's tenant only.
-- FORCE holds the owner to it too. Without a tenant the setting is NULL or empty: no row matches.
CREATE TABLE entities (
    tenant_id   text        NOT NULL CHECK (tenant_id <> ''),
    entity_type text        NOT NULL,
    id          uuid        NOT NULL,
    version     bigint      NOT NULL CHECK (version > 0),
    name        text        NOT NULL,
    attributes  jsonb       NOT NULL,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, entity_type, id)
);

CREATE INDEX entities_in_order ON entities (tenant_id, entity_type, created_at, id);

ALTER TABLE entities ENABLE ROW LEVEL SECURITY;
ALTER TABLE entities FORCE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON entities
    USING (tenant_id = current_setting('app.tenant_id', true))
    WITH CHECK (tenant_id = current_setting('app.tenant_id', true));

-- What the two login roles may do, given anew after every migration, so that either may change.
-- Neither owns anything. Name a new table here, or the service cannot reach it.
DO $grants$
DECLARE
    application text := current_setting('app.application_role');
    relay       text := current_setting('app.relay_role', true);
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), application);
    EXECUTE format(
        'GRANT SELECT, INSERT, UPDATE, DELETE ON entities, idempotency_keys TO %I', application
    );
    EXECUTE format('GRANT INSERT ON outbox TO %I', application);

    -- The relay sees the events of all tenants, and nothing else of anybody.
    DROP POLICY IF EXISTS relay_of_all_tenants ON outbox;
    IF relay <> '' THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), relay);
        EXECUTE format('GRANT SELECT, UPDATE (attempts, due_at), DELETE ON outbox TO %I', relay);
        EXECUTE format('CREATE POLICY relay_of_all_tenants ON outbox TO %I USING (true)', relay);
    END IF;
END
$grants$;

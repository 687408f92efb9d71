-- Times are nanoseconds since 1970-01-01T00:00:00Z: the chain of the audit log covers them, so they must come
-- back as they went in, and `timestamptz` keeps microseconds only.

-- The ring of wrapped keys: one row or none.
CREATE TABLE fnox_vault.key_ring (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    generation bigint NOT NULL,
    -- Repeats what the document says, so that a writer of a secret can hold it still.
    active_data_key text,
    document text NOT NULL
);

CREATE TABLE fnox_vault.secret (
    id uuid PRIMARY KEY,
    -- Listed in the order of bytes, whatever the database's language is.
    name text COLLATE "C" NOT NULL UNIQUE,
    kind text NOT NULL,
    description text,
    tags text NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    version bigint NOT NULL
);

CREATE TABLE fnox_vault.secret_version (
    secret uuid NOT NULL REFERENCES fnox_vault.secret (id) ON DELETE CASCADE,
    version bigint NOT NULL,
    kind text NOT NULL,
    algorithm text NOT NULL,
    key_id text NOT NULL,
    nonce bytea NOT NULL,
    ciphertext bytea NOT NULL,
    PRIMARY KEY (secret, version)
);
-- Ciphertext does not compress.
ALTER TABLE fnox_vault.secret_version ALTER COLUMN ciphertext SET STORAGE EXTERNAL;
CREATE INDEX secret_version_by_key ON fnox_vault.secret_version (key_id);

CREATE TABLE fnox_vault.lease (
    id uuid PRIMARY KEY,
    agent text NOT NULL,
    peer text NOT NULL,
    secret text NOT NULL,
    host text NOT NULL,
    rule text NOT NULL,
    tool text,
    issued_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    ends_at bigint NOT NULL,
    max_uses bigint,
    uses bigint NOT NULL,
    renewable boolean NOT NULL,
    renewals bigint NOT NULL,
    session uuid,
    delivery text NOT NULL,
    state text NOT NULL,
    reason text
) WITH (fillfactor = 70);
CREATE INDEX lease_live_by_agent ON fnox_vault.lease (agent) WHERE state = 'active';
CREATE INDEX lease_live_by_session ON fnox_vault.lease (session) WHERE state = 'active' AND session IS NOT NULL;
CREATE INDEX lease_by_agent ON fnox_vault.lease (agent, id);
CREATE INDEX lease_by_secret ON fnox_vault.lease (secret, id);
CREATE INDEX lease_by_expiry ON fnox_vault.lease (expires_at);

CREATE TABLE fnox_vault.token (
    id uuid PRIMARY KEY,
    hash bytea NOT NULL UNIQUE,
    agent text NOT NULL,
    role text NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    max_uses bigint,
    uses bigint NOT NULL,
    peer text,
    revoked boolean NOT NULL
);

CREATE TABLE fnox_vault.session (
    id uuid PRIMARY KEY,
    hash bytea NOT NULL UNIQUE,
    user_name text NOT NULL,
    channel text NOT NULL,
    owner text NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    max_concurrent_leases bigint NOT NULL,
    max_renewals_per_lease bigint NOT NULL,
    tool_bindings text NOT NULL,
    closed boolean NOT NULL
);

-- No column but the number is NOT NULL: what somebody nulled has to be shown as such, and whoever can null a
-- column can drop a constraint.
CREATE TABLE fnox_vault.audit (
    sequence bigint PRIMARY KEY,
    time bigint,
    event text,
    actor text,
    peer text,
    agent text,
    secret text,
    host text,
    lease uuid,
    rule text,
    outcome text,
    reason text,
    key_id text,
    mac bytea
);
CREATE INDEX audit_by_agent ON fnox_vault.audit (agent, sequence) WHERE agent IS NOT NULL;
CREATE INDEX audit_by_secret ON fnox_vault.audit (secret, sequence) WHERE secret IS NOT NULL;
CREATE INDEX audit_by_lease ON fnox_vault.audit (lease, sequence) WHERE lease IS NOT NULL;
CREATE INDEX audit_by_time ON fnox_vault.audit (time);

-- One row, whose lock puts the writers of all vaults in one line. Nulls: the log was never written.
CREATE TABLE fnox_vault.audit_head (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    sequence bigint,
    time bigint,
    mac bytea,
    key_id text,
    seal bytea
) WITH (fillfactor = 10);
INSERT INTO fnox_vault.audit_head DEFAULT VALUES;

-- Times are nanoseconds since 1970 in UTC; ids are the 16 bytes of a UUID.

-- 'fnxV': tells a vault's file from other SQLite files.
PRAGMA application_id = 1718515798;

-- `epoch` names this history: a restored file gets another one. `changes` counts transactions, so that an
-- older copy of the file can be told from the newer one.
CREATE TABLE vault (
    id INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
    epoch BLOB NOT NULL CHECK (length(epoch) = 16),
    changes INTEGER NOT NULL,
    restored_at INTEGER
) STRICT;

CREATE TABLE ring (
    id INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
    generation INTEGER NOT NULL,
    document TEXT NOT NULL
) STRICT;

CREATE TABLE secrets (
    id BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    name TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    description TEXT,
    tags TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    algorithm TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE secret_versions (
    secret BLOB NOT NULL REFERENCES secrets (id) ON DELETE CASCADE,
    version INTEGER NOT NULL,
    key_id TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    sealed_kind TEXT NOT NULL,
    nonce BLOB NOT NULL,
    ciphertext BLOB NOT NULL,
    PRIMARY KEY (secret, version)
) STRICT;

-- State: 1 active, 2 expired, 3 exhausted, 4 revoked.
CREATE TABLE leases (
    id BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    agent TEXT NOT NULL,
    peer TEXT NOT NULL,
    secret TEXT NOT NULL,
    host TEXT NOT NULL,
    rule TEXT NOT NULL,
    tool TEXT,
    issued_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    ends_at INTEGER NOT NULL,
    max_uses INTEGER,
    uses INTEGER NOT NULL,
    renewable INTEGER NOT NULL,
    renewals INTEGER NOT NULL,
    session BLOB,
    delivery TEXT NOT NULL,
    state INTEGER NOT NULL,
    reason TEXT
) STRICT, WITHOUT ROWID;

-- Only leases that live are counted, so only they are in these indexes.
CREATE INDEX leases_live_by_agent ON leases (agent, expires_at, rule) WHERE state = 1;
CREATE INDEX leases_live_by_session ON leases (session, expires_at)
WHERE state = 1 AND session IS NOT NULL;

CREATE TABLE tokens (
    id BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    agent TEXT NOT NULL,
    role TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    max_uses INTEGER,
    uses INTEGER NOT NULL,
    peer TEXT,
    revoked INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    id BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    user TEXT NOT NULL,
    channel TEXT NOT NULL,
    owner TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    max_concurrent_leases INTEGER NOT NULL,
    max_renewals_per_lease INTEGER NOT NULL,
    tool_bindings TEXT NOT NULL,
    closed INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- No further indexes: each would be written with every record. Times never run back, so that a time is
-- found by halving.
CREATE TABLE audit (
    sequence INTEGER PRIMARY KEY NOT NULL,
    time INTEGER NOT NULL,
    event TEXT NOT NULL,
    actor TEXT NOT NULL,
    peer TEXT,
    agent TEXT,
    secret TEXT,
    host TEXT,
    lease BLOB,
    rule TEXT,
    outcome TEXT NOT NULL,
    reason TEXT,
    key_id TEXT NOT NULL,
    mac BLOB NOT NULL
) STRICT;

CREATE TABLE audit_head (
    id INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
    sequence INTEGER NOT NULL,
    time INTEGER NOT NULL,
    mac BLOB NOT NULL,
    key_id TEXT NOT NULL,
    seal BLOB NOT NULL
) STRICT;

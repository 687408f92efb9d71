-- Statements live in fnox-server and are shared with PostgreSQL: keep both definitions alike.
-- Times are nanoseconds since 1970 in UTC; ids are the 16 bytes of a UUID; flags are 0 and 1.

-- 'fnxS': tells a team server's file from other SQLite files.
PRAGMA application_id = 1718515795;

-- `epoch` names this history: a restored file gets another one. `changes` counts transactions, so that an
-- older copy of the file can be told from the newer one.
CREATE TABLE history (
    id INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
    epoch BLOB NOT NULL CHECK (length(epoch) = 16),
    changes INTEGER NOT NULL,
    restored_at INTEGER
) STRICT;

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
    mac BLOB NOT NULL,
    project TEXT,
    approval BLOB,
    detail TEXT
) STRICT;

CREATE TABLE audit_head (
    id INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
    sequence INTEGER NOT NULL,
    time INTEGER NOT NULL,
    mac BLOB NOT NULL,
    key_id TEXT NOT NULL,
    seal BLOB NOT NULL
) STRICT;

-- Secrets: what is there now; deleted ones stay, so that versions never count twice.
CREATE TABLE secrets (
    project TEXT NOT NULL,
    profile TEXT NOT NULL,
    key TEXT NOT NULL,
    version INTEGER NOT NULL,
    description TEXT,
    require_approval INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    PRIMARY KEY (project, profile, key)
) STRICT;

CREATE TABLE secret_versions (
    project TEXT NOT NULL,
    profile TEXT NOT NULL,
    key TEXT NOT NULL,
    version INTEGER NOT NULL,
    ciphertext BLOB NOT NULL,
    sha256 BLOB NOT NULL,
    size INTEGER NOT NULL,
    recipients TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    PRIMARY KEY (project, profile, key, version),
    FOREIGN KEY (project, profile, key) REFERENCES secrets (project, profile, key)
) STRICT;

-- `subject` is JSON. The three login columns are lower-case words by which an identity provider may name a person.
CREATE TABLE sessions (
    id BLOB PRIMARY KEY NOT NULL,
    hash BLOB NOT NULL UNIQUE,
    principal TEXT NOT NULL,
    subject TEXT NOT NULL,
    login_subject TEXT,
    login_name TEXT,
    login_email TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    ended INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_by_expiry ON sessions (expires_at);
CREATE INDEX sessions_by_principal ON sessions (principal);

-- CI tokens that were used; `id` is SHA-256 over issuer and `jti`, or over issuer and token.
CREATE TABLE used_tokens (
    id BLOB PRIMARY KEY NOT NULL,
    keep_until INTEGER NOT NULL
) STRICT;
CREATE INDEX used_tokens_by_age ON used_tokens (keep_until);

-- Which stable id has which name at present.
CREATE TABLE known_names (
    issuer TEXT NOT NULL,
    stable_id TEXT NOT NULL,
    name TEXT NOT NULL,
    seen_at INTEGER NOT NULL,
    PRIMARY KEY (issuer, stable_id)
) STRICT;
CREATE UNIQUE INDEX known_names_by_name ON known_names (issuer, name);

-- `binding` is who asked, exactly; `request` what, exactly, by whom; `quiet` what roughly, by whom.
CREATE TABLE approvals (
    id BLOB PRIMARY KEY NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'approved', 'denied', 'expired', 'cancelled', 'granted', 'fetched')),
    project TEXT NOT NULL,
    profile TEXT NOT NULL,
    command_hash TEXT NOT NULL,
    command_display TEXT NOT NULL,
    reason TEXT,
    requester TEXT NOT NULL,
    principal TEXT NOT NULL,
    binding BLOB NOT NULL,
    request BLOB NOT NULL,
    quiet BLOB NOT NULL,
    session BLOB NOT NULL,
    address TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    approvals_needed INTEGER NOT NULL,
    approvers TEXT NOT NULL,
    code_key BLOB NOT NULL,
    wrong_codes INTEGER NOT NULL,
    denied_at INTEGER
) STRICT;
CREATE INDEX approvals_pending ON approvals (principal, expires_at) WHERE status = 'pending';
CREATE INDEX approvals_open ON approvals (expires_at) WHERE status IN ('pending', 'approved', 'granted');
CREATE INDEX approvals_by_request ON approvals (request) WHERE status = 'pending';
CREATE INDEX approvals_denied ON approvals (quiet, denied_at) WHERE status = 'denied';
CREATE INDEX approvals_by_age ON approvals (created_at);

CREATE TABLE approval_items (
    approval BLOB NOT NULL REFERENCES approvals (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    key TEXT NOT NULL,
    version INTEGER NOT NULL,
    sha256 BLOB NOT NULL,
    needs_approval INTEGER NOT NULL,
    is_new INTEGER NOT NULL,
    PRIMARY KEY (approval, position)
) STRICT;

-- Who said what: one row a person and approval.
CREATE TABLE decisions (
    approval BLOB NOT NULL REFERENCES approvals (id) ON DELETE CASCADE,
    decided_by TEXT NOT NULL,
    decision TEXT NOT NULL CHECK (decision IN ('approve', 'deny')),
    decided_at INTEGER NOT NULL,
    reason TEXT,
    PRIMARY KEY (approval, decided_by)
) STRICT;

-- One approval becomes one grant at most.
CREATE TABLE grants (
    id BLOB PRIMARY KEY NOT NULL,
    hash BLOB NOT NULL UNIQUE,
    approval BLOB NOT NULL UNIQUE REFERENCES approvals (id) ON DELETE CASCADE,
    session BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at INTEGER
) STRICT;

-- What a requester was given before: for "new since the last approval".
CREATE TABLE released (
    principal TEXT NOT NULL,
    project TEXT NOT NULL,
    profile TEXT NOT NULL,
    key TEXT NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (principal, project, profile, key)
) STRICT;

CREATE TABLE users (
    id BLOB PRIMARY KEY NOT NULL,
    user_name TEXT NOT NULL,
    -- `userName` without regard to case: it is unique so (RFC 7643, section 4.1.1).
    user_name_folded TEXT NOT NULL UNIQUE,
    external_id TEXT,
    display_name TEXT,
    email TEXT,
    active INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE server_state (
    id INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
    frozen INTEGER NOT NULL
) STRICT;
INSERT INTO server_state (id, frozen) VALUES (1, 0);

-- What is over stays over, whatever a statement says.
CREATE TRIGGER approvals_end BEFORE UPDATE OF status ON approvals
WHEN OLD.status IN ('denied', 'expired', 'cancelled', 'fetched') AND NEW.status <> OLD.status
BEGIN
    SELECT RAISE(ABORT, 'an approval that is over does not change');
END;

CREATE TRIGGER grants_are_used_once BEFORE UPDATE ON grants
WHEN OLD.used_at IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'a grant that was used does not change');
END;

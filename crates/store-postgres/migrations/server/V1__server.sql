-- Statements live in fnox-server and are shared with SQLite: keep both definitions alike.
-- Times are nanoseconds since 1970 in UTC; ids are the 16 bytes of a UUID; flags are 0 and 1.

-- `epoch` names this history: a restored database gets another one.
CREATE TABLE fnox_server.history (
    id bigint PRIMARY KEY CHECK (id = 1),
    epoch uuid NOT NULL,
    restored_at bigint
);

CREATE TABLE fnox_server.audit (
    sequence bigint PRIMARY KEY,
    time bigint NOT NULL,
    event text NOT NULL,
    actor text NOT NULL,
    peer text,
    agent text,
    secret text,
    host text,
    lease bytea,
    rule text,
    outcome text NOT NULL,
    reason text,
    key_id text NOT NULL,
    mac bytea NOT NULL,
    project text,
    approval bytea,
    detail text
);

-- One row: its lock is the line in which all servers stand.
CREATE TABLE fnox_server.audit_head (
    id bigint PRIMARY KEY CHECK (id = 1),
    sequence bigint NOT NULL,
    time bigint NOT NULL,
    mac bytea NOT NULL,
    key_id text NOT NULL,
    seal bytea NOT NULL
);
INSERT INTO fnox_server.audit_head (id, sequence, time, mac, key_id, seal) VALUES (1, 0, 0, '', '', '');

-- Secrets: what is there now; deleted ones stay, so that versions never count twice.
CREATE TABLE fnox_server.secrets (
    project text COLLATE "C" NOT NULL,
    profile text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    description text,
    require_approval bigint NOT NULL,
    deleted bigint NOT NULL,
    PRIMARY KEY (project, profile, key)
);

CREATE TABLE fnox_server.secret_versions (
    project text COLLATE "C" NOT NULL,
    profile text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    ciphertext bytea NOT NULL,
    sha256 bytea NOT NULL,
    size bigint NOT NULL,
    recipients text NOT NULL,
    created_at bigint NOT NULL,
    created_by text NOT NULL,
    PRIMARY KEY (project, profile, key, version),
    FOREIGN KEY (project, profile, key) REFERENCES fnox_server.secrets (project, profile, key)
);

-- `subject` is JSON. The three login columns are lower-case words by which an identity provider may name a person.
CREATE TABLE fnox_server.sessions (
    id bytea PRIMARY KEY NOT NULL,
    hash bytea NOT NULL UNIQUE,
    principal text COLLATE "C" NOT NULL,
    subject text NOT NULL,
    login_subject text,
    login_name text,
    login_email text,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    ended bigint NOT NULL
);
CREATE INDEX sessions_by_expiry ON fnox_server.sessions (expires_at);
CREATE INDEX sessions_by_principal ON fnox_server.sessions (principal);

-- CI tokens that were used; `id` is SHA-256 over issuer and `jti`, or over issuer and token.
CREATE TABLE fnox_server.used_tokens (
    id bytea PRIMARY KEY NOT NULL,
    keep_until bigint NOT NULL
);
CREATE INDEX used_tokens_by_age ON fnox_server.used_tokens (keep_until);

-- Which stable id has which name at present.
CREATE TABLE fnox_server.known_names (
    issuer text COLLATE "C" NOT NULL,
    stable_id text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    seen_at bigint NOT NULL,
    PRIMARY KEY (issuer, stable_id)
);
CREATE UNIQUE INDEX known_names_by_name ON fnox_server.known_names (issuer, name);

-- `binding` is who asked, exactly; `request` what, exactly, by whom; `quiet` what roughly, by whom.
CREATE TABLE fnox_server.approvals (
    id bytea PRIMARY KEY NOT NULL,
    status text NOT NULL CHECK (status IN ('pending', 'approved', 'denied', 'expired', 'cancelled', 'granted', 'fetched')),
    project text COLLATE "C" NOT NULL,
    profile text COLLATE "C" NOT NULL,
    command_hash text NOT NULL,
    command_display text NOT NULL,
    reason text,
    requester text NOT NULL,
    principal text COLLATE "C" NOT NULL,
    binding bytea NOT NULL,
    request bytea NOT NULL,
    quiet bytea NOT NULL,
    session bytea NOT NULL,
    address text,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    approvals_needed bigint NOT NULL,
    approvers text NOT NULL,
    code_key bytea NOT NULL,
    wrong_codes bigint NOT NULL,
    denied_at bigint
);
CREATE INDEX approvals_pending ON fnox_server.approvals (principal, expires_at) WHERE status = 'pending';
CREATE INDEX approvals_open ON fnox_server.approvals (expires_at) WHERE status IN ('pending', 'approved', 'granted');
CREATE INDEX approvals_by_request ON fnox_server.approvals (request) WHERE status = 'pending';
CREATE INDEX approvals_denied ON fnox_server.approvals (quiet, denied_at) WHERE status = 'denied';
CREATE INDEX approvals_by_age ON fnox_server.approvals (created_at);

CREATE TABLE fnox_server.approval_items (
    approval bytea NOT NULL REFERENCES fnox_server.approvals (id) ON DELETE CASCADE,
    position bigint NOT NULL,
    key text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    sha256 bytea NOT NULL,
    needs_approval bigint NOT NULL,
    is_new bigint NOT NULL,
    PRIMARY KEY (approval, position)
);

-- Who said what: one row a person and approval.
CREATE TABLE fnox_server.decisions (
    approval bytea NOT NULL REFERENCES fnox_server.approvals (id) ON DELETE CASCADE,
    decided_by text NOT NULL,
    decision text NOT NULL CHECK (decision IN ('approve', 'deny')),
    decided_at bigint NOT NULL,
    reason text,
    PRIMARY KEY (approval, decided_by)
);

-- One approval becomes one grant at most.
CREATE TABLE fnox_server.grants (
    id bytea PRIMARY KEY NOT NULL,
    hash bytea NOT NULL UNIQUE,
    approval bytea NOT NULL UNIQUE REFERENCES fnox_server.approvals (id) ON DELETE CASCADE,
    session bytea NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    used_at bigint
);

-- What a requester was given before: for "new since the last approval".
CREATE TABLE fnox_server.released (
    principal text COLLATE "C" NOT NULL,
    project text COLLATE "C" NOT NULL,
    profile text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    PRIMARY KEY (principal, project, profile, key)
);

CREATE TABLE fnox_server.users (
    id bytea PRIMARY KEY NOT NULL,
    user_name text NOT NULL,
    -- `userName` without regard to case: it is unique so (RFC 7643, section 4.1.1).
    user_name_folded text NOT NULL UNIQUE,
    external_id text,
    display_name text,
    email text,
    active bigint NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
);

CREATE TABLE fnox_server.server_state (
    id bigint PRIMARY KEY NOT NULL CHECK (id = 1),
    frozen bigint NOT NULL
);
INSERT INTO fnox_server.server_state (id, frozen) VALUES (1, 0);

-- What is over stays over, whatever a statement says.
CREATE FUNCTION fnox_server.approvals_end() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'an approval that is over does not change';
END $$;
CREATE TRIGGER approvals_end BEFORE UPDATE OF status ON fnox_server.approvals FOR EACH ROW
WHEN (OLD.status IN ('denied', 'expired', 'cancelled', 'fetched') AND NEW.status <> OLD.status)
EXECUTE FUNCTION fnox_server.approvals_end();

CREATE FUNCTION fnox_server.grants_are_used_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a grant that was used does not change';
END $$;
CREATE TRIGGER grants_are_used_once BEFORE UPDATE ON fnox_server.grants FOR EACH ROW
WHEN (OLD.used_at IS NOT NULL)
EXECUTE FUNCTION fnox_server.grants_are_used_once();

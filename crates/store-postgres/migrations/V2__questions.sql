-- Questions of gateways for people: for minutes, and forgotten when the next is asked after their time.
CREATE TABLE fnox_vault.question (
    id uuid PRIMARY KEY,
    agent text,
    peer text NOT NULL,
    request text NOT NULL,
    asked_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    decision text,
    decided_by text,
    CHECK ((decision IS NULL) = (decided_by IS NULL))
);

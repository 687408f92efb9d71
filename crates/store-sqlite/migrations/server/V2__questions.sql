-- Statements live in fnox-server and are shared with PostgreSQL: keep both definitions alike.
-- What a gateway asks people about, beside what jobs ask: the same states, and no way from one to the other.
-- `question` is JSON, NULL for keys of a project; `lasting` is for how many seconds a yes covers the same request.
ALTER TABLE approvals ADD COLUMN question TEXT;
ALTER TABLE approvals ADD COLUMN lasting INTEGER;
CREATE INDEX approvals_asked ON approvals (principal, created_at) WHERE question IS NOT NULL;

-- A yes to a request of an agent releases no secret, whatever a statement says.
CREATE TRIGGER grants_are_for_keys BEFORE INSERT ON grants
WHEN (SELECT question FROM approvals WHERE id = NEW.approval) IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'a question becomes no grant');
END;

CREATE TRIGGER questions_stay BEFORE UPDATE ON approvals
WHEN OLD.question IS NOT NEW.question OR (OLD.question IS NOT NULL AND NEW.status = 'granted')
BEGIN
    SELECT RAISE(ABORT, 'a question stays what it is');
END;

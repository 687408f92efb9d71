-- Statements live in fnox-server and are shared with SQLite: keep both definitions alike.
-- What a gateway asks people about, beside what jobs ask: the same states, and no way from one to the other.
-- `question` is JSON, NULL for keys of a project; `lasting` is for how many seconds a yes covers the same request.
ALTER TABLE fnox_server.approvals ADD COLUMN question text;
ALTER TABLE fnox_server.approvals ADD COLUMN lasting bigint;
CREATE INDEX approvals_asked ON fnox_server.approvals (principal, created_at) WHERE question IS NOT NULL;

-- A yes to a request of an agent releases no secret, whatever a statement says.
CREATE FUNCTION fnox_server.grants_are_for_keys() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT question FROM fnox_server.approvals WHERE id = NEW.approval) IS NOT NULL THEN
        RAISE EXCEPTION 'a question becomes no grant';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER grants_are_for_keys BEFORE INSERT ON fnox_server.grants FOR EACH ROW
EXECUTE FUNCTION fnox_server.grants_are_for_keys();

CREATE FUNCTION fnox_server.questions_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a question stays what it is';
END $$;
CREATE TRIGGER questions_stay BEFORE UPDATE ON fnox_server.approvals FOR EACH ROW
WHEN (OLD.question IS DISTINCT FROM NEW.question OR (OLD.question IS NOT NULL AND NEW.status = 'granted'))
EXECUTE FUNCTION fnox_server.questions_stay();

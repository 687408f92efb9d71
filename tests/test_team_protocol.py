"""An independent client against a real team server: what docs/reference/server-api.md promises to jobs.

    python3 -m unittest discover -s tests

Every answer of the server is checked against openapi.json and problems.md. People, pages and administration are in
test_team_people.py.
"""

import base64
import json
import shutil
import socket
import subprocess
import threading
import unittest
import uuid

from team_case import TeamCase
from team_client import open_signed
from team_page import operations
from team_server import CI, PRACTICE, PUBLIC, RECIPIENT, age_file, encoded, sha256


class Identity(TeamCase):
    def test_a_job_logs_in_once_with_each_token_and_out(self):
        token = self.server.issuer.job(self.server.repository())
        answer = self.server.client(token).send("POST", "/v1/sessions")
        self.assertEqual((answer.status, answer.json["roles"]), (201, []))
        job = self.server.client(answer.json["token"])
        self.assertEqual(job.session()["principal"], answer.json["principal"])
        self.assertEqual(job.session()["claims"]["ref"], "refs/heads/main")
        self.refused("token_replayed", self.server.client().log_in, token)
        job.log_out()
        self.refused("token_invalid", job.session)
        self.refused("token_invalid", job.ask, ["NPM_TOKEN"])

    def test_the_issuer_that_is_two_files_works(self):
        claims = {"sub": "repo:octo-org/hello:ref:refs/heads/main", "repository": "octo-org/hello", "repository_id": "1296269",
                  "repository_owner_id": "583231", "ref": "refs/heads/main", "event_name": "push", "run_id": "1"}
        token = self.server.run("serve", "issuer", "token", "--dir", "issuer", "--issuer", PRACTICE, "--audience", PUBLIC,
                                "--claims", "-", input=json.dumps(claims)).strip()
        job = self.server.client().log_in(token)
        self.assertEqual(job.session()["principal"], "practice:1296269")
        self.asked(job)

    def test_a_token_that_is_not_right_opens_nothing_and_says_why(self):
        issuer, repository = self.server.issuer, self.server.repository()
        good = issuer.job(repository)
        head, body, signature = good.split(".")
        claims = json.loads(base64.urlsafe_b64decode(body + "=="))

        def signed(**changes):
            return issuer.sign({name: value for name, value in (claims | changes).items() if value is not None})

        wrong = {
            "expired": signed(exp=claims["iat"] - 600, iat=claims["iat"] - 900),
            "from the future": signed(iat=claims["iat"] + 900, exp=claims["exp"] + 900),
            "not yet": signed(nbf=claims["nbf"] + 900),
            "lives too long": signed(exp=claims["iat"] + 90000),
            "another audience": signed(aud="sts.amazonaws.com"),
            "an audience with a slash": signed(aud=PUBLIC + "/"),
            "an audience that is a number": signed(aud=7),
            "no audience": signed(aud=None),
            "a list with what is no text": signed(aud=[PUBLIC, 7]),
            "no subject": signed(sub=None),
            "a subject that is a number": signed(sub=7),
            "an end that is a text": signed(exp="never"),
            "an issuer with a slash": signed(iss=CI + "/"),
            "an issuer that is a list": signed(iss=[CI]),
            "alg none": encoded({"alg": "none"}) + "." + body + ".",
            "an algorithm that is not allowed": encoded({"alg": "HS256", "kid": issuer.kid}) + f".{body}.{signature}",
            "crit": issuer.sign(claims, crit=["exp"]),
            "another signature": f"{head}.{body}.{encoded(bytes(64))}",
            "another body": f"{head}.{encoded(claims | {'repository_id': '1'})}.{signature}",
            "no JWT": "x",
            "two parts": f"{head}.{body}",
            "five parts": good + ".x.y",
            "padding": good + "==",
            "a claim twice": issuer.sign(claims).split(".")[0] + "." + encoded(b'{"iss":"x","iss":"%s"}' % CI.encode()) + ".AA",
            "larger than any": issuer.sign(claims | {"x": "y" * 20000}),
        }
        for name, token in wrong.items():
            with self.subTest(name):
                self.refused("oidc_invalid", self.server.client().log_in, token)
        told = self.refused("oidc_invalid", self.server.client().log_in, signed(aud="other"))
        self.assertEqual(told["claim"], "aud")
        self.assertNotIn(signature, json.dumps(told))
        self.server.client().log_in(good)

    def test_whom_the_policy_does_not_know_is_told_the_claim_and_not_what_it_wants(self):
        for claim, value in [("ref", "refs/heads/evil"), ("ref", None), ("ref", 7), ("event_name", "pull_request_target"),
                             ("repository_id", "7")]:
            with self.subTest(claim, value=value):
                repository = value if claim == "repository_id" else self.server.repository()
                changes = {"name": "stranger"} if claim == "repository_id" else {claim: value}
                told = self.refused("policy_denied", self.server.client().log_in, self.server.issuer.job(repository, **changes))
                self.assertEqual(told["claim"], claim)
                self.assertNotRegex(told["detail"], "refs/heads/main|1000|helps itself")

    def test_an_issuer_that_cannot_be_reached_is_no_refusal(self):
        claims = self.server.issuer.claims("http://127.0.0.1:9", PUBLIC, sub="x")
        token = ".".join([encoded({"alg": "RS256", "kid": "k"}), encoded(claims), encoded(bytes(256))])
        self.refused("issuer_unavailable", self.server.client().log_in, token)

    def test_a_name_that_somebody_took_over_is_refused_recorded_and_told(self):
        own = self.server.repository()
        token = self.server.issuer.job("99999", name=f"repo-{own}")
        self.refused("policy_denied", self.server.client().log_in, token)
        self.assertEqual(len(self.admin.audit(event="name_resurrected")), 1)
        self.server.pushes.next(lambda message: f"repo-{own}" in json.dumps(message) and "asks" not in message["title"])


class Doors(TeamCase):
    """Every operation of the document, without what opens it."""

    def test_nothing_opens_without_its_token(self):
        session, tried = self.server.job().token, 0
        wrong = {"session": "fxg_" + session[4:], "grant": session, "provisioning": "fxg_" + session[4:], "oidc": session}
        wrong["gateway"] = wrong["provisioning"]
        for method, path, operation in operations():
            path = path.replace("{id}", str(uuid.uuid4())).replace("{key}", "NPM_TOKEN").replace("{project}", "my-app")
            path = path.replace("{issuer}", "ci").replace("{name}", "x")
            if "security" not in operation:
                self.assertIn(self.server.client().send(method, path).status, (200, 404))
                continue
            tried += 1
            kinds = [kind for one in operation["security"] for kind in one]
            with self.subTest(method, path=path):
                invalid = "oidc_invalid" if kinds == ["oidc"] else "token_invalid"
                for code, token in [("unauthenticated", None), (invalid, "x"), (invalid, wrong[kinds[0]])]:
                    answer = self.server.client(token).send(method, path)
                    self.assertEqual((answer.status, answer.json["code"]), (401, code))
                    self.assertEqual(answer.headers["WWW-Authenticate"], "Bearer")
        self.assertGreater(tried, 25)

    def test_what_is_for_roles_is_not_for_jobs(self):
        job, request = self.asked()
        for work in [
            lambda: job.put("NPM_TOKEN", age_file(), [RECIPIENT]), lambda: job.delete("NPM_TOKEN"), job.approvals,
            lambda: job.approve(request["id"], "WRONG1"), job.audit, lambda: job.call("GET", "/v1/admin/state"),
            lambda: job.call("POST", "/v1/admin/freeze"), lambda: job.call("POST", "/v1/admin/unfreeze"),
            lambda: job.call("POST", "/v1/admin/revoke-all"), lambda: job.call("DELETE", "/v1/admin/names/ci/x"),
        ]:
            self.refused("role_missing", work)
        self.assertEqual(self.status(request), "pending")

    def test_exactly_one_bearer_is_taken(self):
        for headers in [
            [f"Authorization: Bearer {self.server.bootstrap}"] * 2, [f"Authorization: Basic {self.server.bootstrap}"],
            ["Authorization: Bearer"], [f"X-Token: {self.server.bootstrap}"],
        ]:
            with socket.create_connection(self.server.address.split(":"), timeout=30) as stream:
                head = ["GET /v1/sessions/current HTTP/1.1", "Host: localhost", "Connection: close", *headers, "", ""]
                stream.sendall("\r\n".join(head).encode())
                self.assertRegex(stream.recv(100), b"^HTTP/1.1 40[01] ")

    def test_methods_and_paths_that_are_not_there(self):
        self.refused("method_not_allowed", self.admin.call, "PATCH", "/v1/approvals")
        self.refused("not_found", self.admin.call, "GET", "/v1/nothing")
        self.refused("not_found", self.admin.call, "GET", "/v1/approvals/" + str(uuid.uuid4()))

    def test_nothing_of_the_api_is_for_browsers(self):
        preflight = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
        answer = self.admin.send("OPTIONS", "/v1/approvals", headers=preflight)
        self.assertFalse([name for name in answer.headers if name.lower().startswith("access-control")])


class Storing(TeamCase):
    def test_versions_count_and_are_etags(self):
        files = [age_file() for _ in range(3)]
        answers = []
        for file in files[:2]:
            body = {"ciphertext": base64.b64encode(file).decode(), "recipients": [RECIPIENT], "description": "d"}
            answers.append(self.admin.send("PUT", self.admin.place("NPM_E"), body))
        said = [(one.status, one.json["version"], one.headers["ETag"]) for one in answers]
        self.assertEqual(said, [(201, 1, '"1"'), (200, 2, '"2"')])
        self.assertEqual(answers[1].json["ciphertext_sha256"], sha256(files[1]))
        self.refused("version_mismatch", self.admin.put, "NPM_E", files[2], [RECIPIENT], headers={"If-Match": '"1"'})
        self.refused("version_mismatch", self.admin.put, "NPM_E", files[2], [RECIPIENT], headers={"If-None-Match": "*"})
        self.refused("version_mismatch", self.admin.put, "NPM_NONE", files[2], [RECIPIENT], headers={"If-Match": '"1"'})
        self.assertEqual(self.admin.put("NPM_E", files[2], [RECIPIENT], headers={"If-Match": '"2"'})["version"], 3)
        got = self.admin.send("GET", self.admin.place("NPM_E"))
        self.assertEqual((got.headers["ETag"], base64.b64decode(got.json["ciphertext"])), ('"3"', files[2]))
        versions = self.admin.versions("NPM_E")
        self.assertEqual([one["version"] for one in versions], [3, 2, 1])
        self.assertFalse([one for one in versions if one.get("ciphertext")])
        self.refused("version_mismatch", self.admin.delete, "NPM_E", headers={"If-Match": '"2"'})
        self.admin.delete("NPM_E", headers={"If-Match": '"3"'})
        self.refused("not_found", self.admin.secret, "NPM_E")
        self.refused("not_found", self.admin.delete, "NPM_E")
        # What is signed for another number is not stored.
        problem = self.refused("version_mismatch", self.admin.put, "NPM_E", files[0], [RECIPIENT], version=1)
        self.assertEqual(problem["next_version"], 4)
        self.refused("not_found", self.admin.secret, "NPM_E")
        new = self.admin.put("NPM_E", files[0], [RECIPIENT], headers={"If-None-Match": "*"}, version=4)
        self.assertEqual(new["version"], 4)

    def test_whoever_may_not_have_the_ciphertext_sees_what_is_there(self):
        job, reader = self.server.job(), self.server.person("rita", "readers")
        before = len(self.admin.audit(event="secret_read"))
        for client in (job, reader):
            self.assertIsNone(client.secret("NPM_TOKEN").get("ciphertext"))
        self.assertEqual(len(self.admin.audit(event="secret_read")), before)
        self.assertIsNotNone(self.admin.secret("NPM_TOKEN")["ciphertext"])
        self.assertEqual(len(self.admin.audit(event="secret_read")), before + 1)

    def test_what_is_not_for_the_caller_looks_like_what_is_not_there(self):
        self.admin.put("OTHER", age_file(), [RECIPIENT])
        self.admin.put("NPM_TOKEN", age_file(), [RECIPIENT], project="foreign")
        job = self.server.job()
        for hidden, absent in [(("OTHER",), ("OTHERS",)), (("NPM_TOKEN", "foreign"), ("NPM_TOKEN", "foreigns"))]:
            for work in (job.secret, job.versions):
                there, gone = self.refused("not_found", work, *hidden), self.refused("not_found", work, *absent)
                self.assertEqual(there, json.loads(json.dumps(gone).replace(absent[-1], hidden[-1])))
        self.assertNotIn("OTHER", [one["key"] for one in job.secrets()])
        self.assertEqual(job.secrets("foreign"), [])

    def test_lists_come_in_pages_that_miss_nothing(self):
        keys = [f"PAGE_{number:02}" for number in range(5)]
        for key in keys:
            for profile in ("production", "default"):
                self.admin.put(key, age_file(), [RECIPIENT], project="paged", profile=profile)
        wanted = [(profile, key) for profile in ("default", "production") for key in keys]
        for client in (self.admin, self.server.job()):
            pages = list(client.pages(client.place(None, "paged"), "secrets", limit=3))
            self.assertEqual([(one["profile"], one["key"]) for page in pages for one in page], wanted)
            self.assertLessEqual(max(map(len, pages)), 3)
        only = self.admin.secrets("paged", profile="production", limit=2)
        self.assertEqual([(one["profile"], one["key"]) for one in only], wanted[5:])

    def test_the_short_form_is_the_project_default(self):
        self.admin.put("SHORT", age_file(), [RECIPIENT], project=None)
        self.assertEqual(self.admin.secret("SHORT", None), self.admin.secret("SHORT", "default"))
        self.assertEqual(self.admin.versions("SHORT", None), self.admin.versions("SHORT", "default"))
        self.assertIn("SHORT", [one["key"] for one in self.admin.secrets(None)])
        other = {"project": None, "headers": {"If-Match": '"9"'}}
        self.refused("version_mismatch", self.admin.put, "SHORT", age_file(), [RECIPIENT], **other)
        self.admin.delete("SHORT", None)
        self.refused("not_found", self.admin.secret, "SHORT", "default")

    def test_profiles_are_apart_and_whether_to_ask_stays(self):
        strict = self.admin.put("NPM_P", age_file(), [RECIPIENT], profile="production", require_approval=True)
        self.assertTrue(strict["require_approval"])
        self.refused("not_found", self.admin.secret, "NPM_P")
        self.assertTrue(self.admin.put("NPM_P", age_file(), [RECIPIENT], profile="production")["require_approval"])
        self.assertFalse(self.admin.put("NPM_P", age_file(), [RECIPIENT])["require_approval"])
        self.admin.delete("NPM_P", profile="production")
        self.assertEqual(self.admin.secret("NPM_P")["version"], 1)

    def test_a_body_that_is_not_right_stores_nothing_and_names_the_field(self):
        place, good = self.admin.place("NPM_BAD"), {"ciphertext": base64.b64encode(age_file()).decode(), "recipients": [RECIPIENT]}
        begin, end = (b"-----%s AGE ENCRYPTED FILE-----\n" % word for word in (b"BEGIN", b"END"))
        armored = base64.b64encode(begin + base64.encodebytes(age_file()) + end).decode()
        for field, value in [
            ("unknown", 1), ("ciphertext", 7), ("ciphertext", None), ("ciphertext", "%%%"), ("ciphertext", ""),
            ("ciphertext", good["ciphertext"].rstrip("=")[:-1]), ("ciphertext", base64.b64encode(b"not age").decode()),
            ("ciphertext", armored),
            ("ciphertext", base64.b64encode(b"age-encryption.org/v1\n").decode()), ("recipients", []), ("recipients", "x"),
            ("recipients", [RECIPIENT, RECIPIENT]), ("recipients", ["not a recipient"]), ("profile", "a/b"), ("profile", 7),
            ("require_approval", "yes"), ("description", 7),
        ]:
            with self.subTest(field, value=str(value)[:40]):
                told = self.refused("invalid_request", self.admin.call, "PUT", place, good | {field: value})
                self.assertEqual(told.get("field", "").split("[")[0], field, told)
        for field in good:
            body = {name: value for name, value in good.items() if name != field}
            self.assertEqual(self.refused("invalid_request", self.admin.call, "PUT", place, body)["field"], field)
        self.refused("not_found", self.admin.secret, "NPM_BAD")

    def test_a_request_that_is_not_right_is_refused(self):
        good = json.dumps({"ciphertext": base64.b64encode(age_file()).decode(), "recipients": [RECIPIENT]}).encode()
        place, kind = self.admin.place("NPM_BAD"), {"Content-Type": "application/json"}
        for code, raw, headers in [
            ("unsupported_media_type", good, {"Content-Type": "text/plain"}), ("unsupported_media_type", good, {}),
            ("unsupported_media_type", good, {"Content-Type": "application/x-www-form-urlencoded"}),
            ("invalid_request", b"{", kind), ("invalid_request", b"", kind), ("invalid_request", b"[]", kind),
            ("invalid_request", good.replace(b"age1", b"\xff"), kind), ("invalid_request", b"[" * 100_000, kind),
            ("invalid_request", good.replace(b'{', b'{"recipients": [], ', 1), kind),
            ("too_large", b" " * (512 * 1024 + 1), kind),
            ("invalid_request", good, kind | {"If-Match": "7"}), ("invalid_request", good, kind | {"If-Match": '"x"'}),
        ]:
            with self.subTest(code, raw=raw[:30], headers=headers):
                self.refused(code, self.admin.call, "PUT", place, raw=raw, headers=headers)
        for query in [{"unknown": 1}, [("limit", 1), ("limit", 2)], {"limit": "x"}, {"limit": -1}]:
            self.refused("invalid_request", self.admin.call, "GET", self.admin.place(), query=query)
        for key in ["1X", "A-B", "A.B", "A" * 129, "%C3%84", "A%2FB"]:
            self.refused("invalid_request", self.admin.put, key, age_file(), [RECIPIENT])
        self.admin.put("A" * 128, age_file(), [RECIPIENT])
        self.refused("invalid_request", self.admin.put, "A", age_file(), [RECIPIENT], project="a%20b")
        self.refused("too_large", self.admin.put, "A", age_file(b"x" * 262144), [RECIPIENT])
        self.refused("not_found", self.admin.secret, "NPM_BAD")


class Asking(TeamCase):
    def test_the_same_request_is_not_made_twice(self):
        job, first = self.asked(keys=["NPM_TOKEN", "SENTRY_DSN"], reason="release")
        answer = job.send("POST", "/v1/approvals", job.wish(["NPM_TOKEN", "SENTRY_DSN"], reason="release"))
        self.assertEqual((answer.status, answer.json["id"], answer.json["code"]), (200, first["id"], first["code"]))
        self.assertNotEqual(self.asked(job)[1]["id"], first["id"])
        self.assertEqual(job.send("POST", "/v1/approvals", job.wish(["NPM_TOKEN"], ["other"])).status, 201)
        told = [(one["event"], bool(one.get("reason"))) for one in self.admin.audit(approval=first["id"])]
        self.assertEqual(told, [("approval_requested", False), ("approval_requested", True)])
        self.assertRegex(first["code"], r"^[0-9A-Z]{6}$")
        self.assertEqual(first["asked"], ["ntfy"])

    def test_nobody_is_flooded_with_requests(self):
        repository = self.server.repository()
        job = self.server.job(repository)
        for number in range(5):
            self.asked(job, command=[str(number)])
        self.refused("too_many_pending", job.ask, ["NPM_TOKEN"], ["one more"])
        self.refused("too_many_pending", self.server.job(repository, run="2").ask, ["NPM_TOKEN"])
        self.asked()
        job.cancel(job.ask(["NPM_TOKEN"], ["0"])["id"])
        self.asked(job, command=["one more"])

    def test_after_a_no_there_is_quiet(self):
        repository = self.server.repository()
        job, request = self.asked(self.server.job(repository))
        self.admin.deny(request["id"], reason="not now")
        self.refused("quiet_time", job.ask, ["NPM_TOKEN"])
        self.refused("quiet_time", self.server.job(repository, run="2").ask, ["NPM_TOKEN"])
        self.asked(job, command=["another"])
        self.asked(job, keys=["SENTRY_DSN"])
        self.asked()

    def test_what_may_not_be_asked_for_is_named(self):
        job = self.server.job()
        self.assertEqual(self.refused("policy_denied", job.ask, ["NPM_TOKEN", "OTHER"])["key"], "OTHER")
        self.assertEqual(self.refused("not_found", job.ask, ["NPM_TOKEN", "NPM_NONE"])["key"], "NPM_NONE")
        self.refused("policy_denied", job.ask, ["NPM_TOKEN"], project="foreign")
        self.refused("policy_denied", job.ask, ["NPM_TOKEN"], profile="staging")
        self.assertEqual(self.admin.audit(actor=job.session()["principal"], event="approval_requested", outcome="ok"), [])

    def test_a_request_that_is_not_right_is_refused(self):
        job = self.server.job()
        for field, value in [
            ("keys", []), ("keys", ["NPM_TOKEN", "NPM_TOKEN"]), ("keys", ["A B"]), ("keys", "NPM_TOKEN"), ("command_hash", "x"),
            ("command_hash", "A" * 64), ("command_hash", "a" * 63), ("command_display", None), ("project", ""),
            ("profile", "a/b"), ("unknown", 1), ("reason", 7),
        ]:
            with self.subTest(field, value=value):
                body = job.wish(["NPM_TOKEN"]) | {field: value}
                told = self.refused("invalid_request", job.call, "POST", "/v1/approvals", body)
                self.assertEqual(told.get("field", "").split("[")[0], field, told)
        text = {"raw": b"{}", "headers": {"Content-Type": "text/json"}}
        self.refused("unsupported_media_type", job.call, "POST", "/v1/approvals", **text)
        _, request = self.asked(job)
        for query in [{"wait": "x"}, {"wait": -1}, {"wait": 1, "x": 2}, [("wait", 1), ("wait", 1)]]:
            self.refused("invalid_request", job.call, "GET", f"/v1/approvals/{request['id']}", query=query)

    def test_a_check_asks_nobody(self):
        job = self.server.job()
        told = job.check(["NPM_TOKEN", "FREE_TOKEN", "NPM_NONE", "OTHER"])
        self.assertEqual([one["key"] for one in told], ["NPM_TOKEN", "FREE_TOKEN", "NPM_NONE", "OTHER"])
        self.assertEqual([one["needs_approval"] for one in told[:2]], [True, False])
        self.assertEqual([bool(one.get("refused")) for one in told], [False, False, True, True])
        self.assertEqual(told[0]["version"], 1)
        self.assertEqual(self.admin.audit(actor=job.session()["principal"], event="approval_requested"), [])

    def test_a_wait_ends_with_the_decision(self):
        job, request = self.asked()
        self.assertEqual(job.approval(request["id"], wait=1)["status"], "pending")
        answers = []
        wait = lambda: self.at_once(3, lambda: job.approval(request["id"], wait=60)["status"])
        waiting = threading.Thread(target=lambda: answers.extend(wait()))
        waiting.start()
        self.admin.approve(request["id"], request["code"])
        waiting.join()
        self.assertEqual(answers, ["approved"] * 3)
        self.assertEqual(job.wait(request["id"])["status"], "approved")

    def test_an_approval_belongs_to_the_run_that_asked(self):
        repository = self.server.repository()
        job, request = self.approved(self.server.job(repository))
        for other in [self.server.job(repository, run="2"), self.server.job(repository, attempt="2"), self.server.job()]:
            for work in (other.approval, other.cancel, other.grant):
                self.refused("not_found", work, request["id"])
        again = self.server.job(repository)
        self.assertEqual(again.approval(request["id"])["status"], "approved")
        self.assertEqual(len(again.fetch(again.grant(request["id"])["grant_token"])), 1)

    def test_what_needs_nobody_is_approved_at_once(self):
        job = self.server.job()
        request = job.ask(["FREE_TOKEN"])
        self.assertEqual((request["status"], request.get("asked", [])), ("approved", []))
        self.assertEqual([one["by"] for one in job.approval(request["id"])["decisions"]], ["policy"])
        self.asked(job, keys=["FREE_TOKEN", "NPM_TOKEN"])


class Granting(TeamCase):
    def test_a_grant_gives_the_ciphertexts_once(self):
        file = age_file()
        self.admin.put("NPM_ONCE", file, [RECIPIENT])
        job, request, grant = self.granted(keys=["NPM_ONCE", "NPM_TOKEN"])
        once, token = job.fetch(grant)
        self.assertEqual((once["key"], once["version"], base64.b64decode(once["ciphertext"])), ("NPM_ONCE", 1, file))
        self.assertEqual((token["key"], once["recipients"]), ("NPM_TOKEN", [RECIPIENT]))
        self.assertEqual(self.status(request), "fetched")
        for _ in range(2):
            self.refused("grant_used", job.fetch, grant)
        self.assertEqual(self.events(request), ["approval_requested", "approval_approved", "grant_created", "secrets_fetched",
                                                "grant_replayed", "grant_replayed"])
        self.server.pushes.next(lambda message: "NPM_ONCE" in json.dumps(message) and "asks" not in message["title"])

    def test_of_many_at_once_one_gets_it(self):
        job, request, grant = self.granted()
        statuses = self.at_once(24, lambda: job.bearer(grant).send("POST", "/v1/fetch").status)
        self.assertEqual((statuses.count(200), statuses.count(410)), (1, 23))
        self.assertEqual(self.events(request).count("secrets_fetched"), 1)

    def test_of_many_exchanges_one_is_done(self):
        job, request = self.approved()
        statuses = self.at_once(16, lambda: job.send("POST", "/v1/grants", {"approval_id": request["id"]}).status)
        self.assertEqual((statuses.count(201), statuses.count(409)), (1, 15))

    def test_what_changed_since_is_not_released(self):
        self.admin.put("NPM_CHANGE", age_file(), [RECIPIENT])
        job, request = self.approved(keys=["NPM_CHANGE", "NPM_TOKEN"])
        self.admin.put("NPM_CHANGE", age_file(), [RECIPIENT])
        self.assertEqual(self.refused("approval_changed", job.grant, request["id"])["key"], "NPM_CHANGE")
        job, request, grant = self.granted(keys=["NPM_CHANGE"])
        self.admin.delete("NPM_CHANGE")
        self.refused("approval_changed", job.fetch, grant)
        job, request = self.approved()
        repository = job.session()["principal"].split(":")[1]
        self.server.write_policy(without=[repository])
        self.server.reload()
        self.refused("policy_denied", job.grant, request["id"])
        self.server.write_policy()
        self.server.reload()
        self.assertEqual(len(job.fetch(job.grant(request["id"])["grant_token"])), 1)

    def test_what_needs_nobody_is_granted_without_asking(self):
        job = self.server.job()
        grant = job.grant_at_once(["FREE_TOKEN"])
        self.assertEqual([one["key"] for one in job.fetch(grant["grant_token"])], ["FREE_TOKEN"])
        self.assertEqual(self.refused("approval_needed", job.grant_at_once, ["FREE_TOKEN", "NPM_TOKEN"])["key"], "NPM_TOKEN")
        self.admin.put("FREE_STRICT", age_file(), [RECIPIENT], require_approval=True)
        self.assertEqual(self.refused("approval_needed", job.grant_at_once, ["FREE_STRICT"])["key"], "FREE_STRICT")
        self.refused("policy_denied", job.grant_at_once, ["OTHER"])
        self.refused("not_found", job.grant_at_once, ["FREE_NONE"])
        _, request = self.approved(job)
        for body in [
            {}, {"approval_id": "x"}, {"approval_id": request["id"], "keys": ["FREE_TOKEN"]}, {"approval_id": request["id"], "x": 1},
            {"project": "my-app", "keys": ["FREE_TOKEN"]},
        ]:
            self.refused("invalid_request", job.call, "POST", "/v1/grants", body)
        self.refused("not_found", job.grant, str(uuid.uuid4()))


@unittest.skipUnless(shutil.which("age") and shutil.which("age-keygen"), "needs age")
class Decrypting(TeamCase):
    """With the real age program as the reader."""

    def test_the_value_arrives_signed_and_only_its_recipient_reads_it(self):
        folder = self.server.folder
        identity = subprocess.run(["age-keygen"], check=True, capture_output=True, text=True).stdout
        (folder / "identity").write_text(identity)
        recipient = next(line.split()[-1] for line in identity.splitlines() if "public key" in line)
        # The writer's key, with which the value is signed.
        self.server.run("age", "keygen", "--output", str(folder / "key"))
        (folder / "fnox.toml").write_text('[project]\nname = "my-app"\n[profiles.default]\nNPM_AGE = {}\n')
        url = f"http://{self.server.address}"
        environment = self.server.environment(FNOX_SERVER_URL=url, FNOX_SERVER_TOKEN=self.server.bootstrap)
        command = ["secret", "set", "NPM_AGE", "--from-stdin", "--recipients", recipient]
        self.server.run(*command, input="hunter2\n\n", environment=environment)
        job, _, grant = self.granted(keys=["NPM_AGE"])
        (secret,) = job.fetch(grant)
        self.assertEqual(secret["recipients"], [recipient])
        plain = subprocess.run(
            ["age", "--decrypt", "--identity", folder / "identity"], input=base64.b64decode(secret["ciphertext"]), check=True,
            capture_output=True,
        ).stdout
        fields, value = open_signed(plain)
        self.assertEqual(value, b"hunter2\n")
        place = [fields[name] for name in ("project", "profile", "key", "version")]
        self.assertEqual(place, ["my-app", "default", "NPM_AGE", secret["version"]])
        with self.assertRaises(ValueError):
            open_signed(plain.replace(b"NPM_AGE", b"NPM_OLD"))


if __name__ == "__main__":
    unittest.main()

"""An independent client against a real team server: people, pages, administration, and the diagram of statuses.

    python3 -m unittest discover -s tests

Every answer of the API is checked against openapi.json and problems.md. A job's way is in test_team_protocol.py.
"""

import hashlib
import hmac
import html.parser
import json
import re
import unittest
import urllib.parse
import uuid

from team_case import TeamCase
from team_page import events
from team_server import HOOK_SECRET, OTHER_RECIPIENT, PUBLIC

FORM = "application/x-www-form-urlencoded"
SCIM_USER = "urn:ietf:params:scim:schemas:core:2.0:User"
SCIM_PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
SCIM_LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
SCIM_ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"


class Diagram(TeamCase):
    """Each arrow of the diagram, and each move that is none."""

    def moves(self, job, request, grant=None):
        """What can be tried, by name."""
        name, code = request["id"], request["code"]
        found = {
            "approve": lambda: self.admin.approve(name, code), "deny": lambda: self.admin.deny(name),
            "cancel": lambda: job.cancel(name), "grant": lambda: job.grant(name),
        }
        return found | ({"fetch": lambda: job.fetch(grant)} if grant else {})

    def reach(self, status):
        """A job, a request that stands there, and its grant if it had one."""
        if status in ("granted", "fetched"):
            job, request, grant = self.granted()
            if status == "fetched":
                job.fetch(grant)
            return job, request, grant
        job, request = self.asked()
        if status != "pending":
            self.moves(job, request)[{"approved": "approve", "denied": "deny", "cancelled": "cancel"}[status]]()
        return job, request, None

    def test_statuses_move_along_the_arrows_only(self):
        decided, not_approved = "approval_decided", "approval_not_approved"
        # The status after a move, or the refusal of it. Whoever repeats a decision is told how it stands.
        table = {
            "pending": {"approve": "approved", "deny": "denied", "cancel": "cancelled", "grant": {not_approved}},
            "approved": {"approve": "approved", "deny": "denied", "cancel": "cancelled", "grant": "granted"},
            "granted": {"approve": "granted", "deny": {decided}, "cancel": {decided}, "grant": {decided}, "fetch": "fetched"},
            "fetched": {
                "approve": "fetched", "deny": {decided}, "cancel": {decided}, "grant": {decided}, "fetch": {"grant_used"},
            },
            "denied": {"approve": {decided}, "deny": "denied", "cancel": {decided}, "grant": {decided, not_approved}},
            "cancelled": {"approve": {decided}, "deny": {decided}, "cancel": {decided}, "grant": {decided, not_approved}},
        }
        for status, moves in table.items():
            for move, outcome in moves.items():
                with self.subTest(f"{move} what is {status}"):
                    job, request, grant = self.reach(status)
                    before = self.admin.audit(approval=request["id"], outcome="ok")
                    work = self.moves(job, request, grant)[move]
                    if isinstance(outcome, set):
                        self.assertRaisesRegex(Exception, "|".join(outcome), work)
                        outcome = status
                    else:
                        work()
                    self.assertEqual(self.status(request), outcome)
                    self.assertEqual(job.approval(request["id"])["status"], outcome)
                    after = self.admin.audit(approval=request["id"], outcome="ok")[len(before):]
                    # What changed nothing is recorded as such, or as refused.
                    expected = [True] * len(after) if outcome == status else [False]
                    self.assertEqual([bool(one.get("reason")) for one in after], expected)

    def test_the_same_decision_changes_nothing_and_another_persons_no_wins(self):
        ada, bob = self.server.person("ada", "approvers"), self.server.person("bob", "approvers")
        _, request = self.asked()
        first = ada.approve(request["id"], request["code"])
        self.assertEqual(ada.approve(request["id"], request["code"]), first)
        self.assertEqual(len(first["decisions"]), 1)
        self.assertEqual(bob.deny(request["id"], reason="no")["status"], "denied")
        self.assertEqual(ada.approve(request["id"], request["code"])["status"], "denied")
        self.refused("approval_decided", self.server.person("cleo", "approvers").approve, request["id"], request["code"])
        decisions = ada.approval(request["id"])["decisions"]
        self.assertEqual([(one["decision"], one.get("reason")) for one in decisions], [("approve", None), ("deny", "no")])


class Ends(TeamCase):
    """What time ends."""

    settings = '\n[approvals]\nlifetime = "2s"\ngrant_lifetime = "1s"\nsession_lifetime = "10s"\n'

    def test_what_nobody_decided_or_used_expires_and_stays_so(self):
        used, exchanged, grant = self.granted()
        job, pending = self.asked()
        _, approved = self.approved(job, keys=["SENTRY_DSN"])
        path, _ = self.server.link()
        self.assertEqual(job.wait(pending["id"])["status"], "expired")
        self.server.wait_until(lambda: {self.status(one) for one in (approved, exchanged)} == {"expired"})
        self.refused("grant_expired", used.fetch, grant)
        for request in (pending, approved, exchanged):
            self.refused("approval_not_approved", self.admin.deny, request["id"])
        self.refused("approval_not_approved", self.admin.approve, pending["id"], pending["code"])
        self.refused("approval_not_approved", job.cancel, pending["id"])
        self.refused("approval_not_approved", job.grant, pending["id"])
        self.assertEqual(job.ask(["NPM_TOKEN"])["status"], "pending")
        self.assertEqual(self.server.client().send("GET", path).status, 404)


class Deciding(TeamCase):
    def test_the_code_is_what_the_log_shows(self):
        for shape in (str.lower, lambda code: " ".join(code), lambda code: code[:3] + "-" + code[3:]):
            _, request = self.asked()
            self.assertEqual(self.admin.approve(request["id"], shape(request["code"]))["status"], "approved")
        _, request = self.asked()
        self.refused("code_missing", self.admin.decide, request["id"], "approve")
        self.refused("code_missing", self.admin.approve, request["id"], "")
        self.assertEqual(self.status(request), "pending")

    def test_the_second_wrong_code_denies(self):
        job, request = self.asked()
        wrong = "222222" if request["code"] != "222222" else "333333"
        self.refused("code_wrong", self.admin.approve, request["id"], wrong)
        self.assertEqual(self.status(request), "pending")
        self.refused("code_wrong", self.admin.approve, request["id"], wrong)
        self.assertEqual(self.status(request), "denied")
        self.refused("approval_decided", self.admin.approve, request["id"], request["code"])
        self.assertEqual(self.events(request)[1:3], ["approval_wrong_code", "approval_denied_by_wrong_codes"])
        self.refused("quiet_time", job.ask, ["NPM_TOKEN"])
        self.server.pushes.next(lambda message: "asks" not in message["title"])

    def test_the_role_is_looked_at_before_the_code(self):
        job, request = self.asked()
        for client in (job, self.server.person("rita", "readers"), self.server.person("max", "admins")):
            for _ in range(3):
                self.refused("role_missing", client.approve, request["id"], "222222")
        self.assertEqual(self.status(request), "pending")
        self.assertEqual(self.events(request, outcome="ok"), ["approval_requested"])

    def test_the_list_shows_what_is_pending_or_all(self):
        _, request = self.approved()
        _, pending = self.asked()
        for client in (self.admin, self.server.person("ada", "approvers"), self.server.person("max", "admins")):
            shown = [one["id"] for one in client.approvals()]
            self.assertIn(pending["id"], shown)
            self.assertNotIn(request["id"], shown)
            self.assertLessEqual({request["id"], pending["id"]}, {one["id"] for one in client.approvals(status="all")})
        self.refused("invalid_request", self.admin.approvals, status="some")
        self.refused("invalid_request", self.admin.approvals, other="all")

    def test_nobody_decides_about_their_own_request(self):
        self.server.policy.write_text(self.server.policy.read_text() + """
[[rule]]
name = "people"
issuer = "people"
groups = ["approvers"]
projects = ["my-app"]
keys = ["NPM_*"]
""")
        self.server.reload()
        eve = self.server.person("eve", "approvers")
        request = eve.ask(["NPM_TOKEN"])
        for client in (eve, self.server.person("eve", "approvers")):
            self.refused("self_approval", client.approve, request["id"], request["code"])
            self.refused("self_approval", client.deny, request["id"])
        self.assertEqual(self.server.person("ada", "approvers").approve(request["id"], request["code"])["status"], "approved")

    def test_a_decision_that_is_not_right_is_refused(self):
        _, request = self.asked()
        path = f"/v1/approvals/{request['id']}/decision"
        for body in [{}, {"decision": "maybe"}, {"decision": "approve", "code": 7}, {"decision": "deny", "x": 1}]:
            self.refused("invalid_request", self.admin.call, "POST", path, body)
        form = {"raw": b"decision=deny", "headers": {"Content-Type": FORM}}
        self.refused("unsupported_media_type", self.admin.call, "POST", path, **form)
        self.refused("not_found", self.admin.deny, str(uuid.uuid4()))
        self.assertEqual(self.status(request), "pending")


class Named(TeamCase):
    more = 'approvers = ["ada@example.com", "group:leads", "sub-cleo"]'

    def test_only_those_whom_the_rule_names_decide(self):
        _, request = self.asked()
        for client in (self.admin, self.server.person("bob", "approvers")):
            self.refused("role_missing", client.approve, request["id"], request["code"])
            self.refused("role_missing", client.deny, request["id"])
        for name, group in [("ada", "approvers"), ("bob", "leads"), ("cleo", "approvers")]:
            _, request = self.asked()
            person = self.server.person(name, "approvers", group)
            self.assertEqual(person.approve(request["id"], request["code"])["status"], "approved")


class Several(TeamCase):
    more = "approvals_needed = 2"

    def test_so_many_different_people_have_to_say_yes(self):
        ada, bob = self.server.person("ada", "approvers"), self.server.person("bob", "approvers")
        job, request = self.asked()
        for client in (ada, ada, self.server.person("ada", "approvers")):
            self.assertEqual(client.approve(request["id"], request["code"])["status"], "pending")
        self.refused("approval_not_approved", job.grant, request["id"])
        self.assertEqual(bob.approve(request["id"], request["code"])["status"], "approved")
        self.assertEqual(len(job.fetch(job.grant(request["id"])["grant_token"])), 1)
        _, request = self.asked()
        ada.approve(request["id"], request["code"])
        self.assertEqual(bob.deny(request["id"])["status"], "denied")


class Fields(html.parser.HTMLParser):
    """The form of a page."""

    def __init__(self, text):
        super().__init__()
        self.hidden, self.named, self.buttons, self.form = {}, set(), set(), {}
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        if tag == "form":
            self.form = found
        elif tag == "input" and found.get("type") == "hidden":
            self.hidden[found["name"]] = found["value"]
        elif tag == "input":
            self.named.add(found["name"])
        elif tag == "button" and "name" in found:
            self.buttons.add((found["name"], found["value"]))


class Page(TeamCase):
    def linked(self):
        """A job's request and the path of its page."""
        job, request = self.asked()
        repository = job.session()["principal"].split(":")[1]
        path, _ = self.server.link(lambda message: f"repo-{repository}" in message["title"])
        return job, request, path

    def show(self, path):
        answer = self.server.client().send("GET", path)
        self.assertEqual((answer.status, answer.kind), (200, "text/html"))
        return Fields(answer.body.decode())

    def post(self, path, pairs, kind=FORM):
        raw = urllib.parse.urlencode(pairs).encode()
        return self.server.client().send("POST", path, raw=raw, headers={"Content-Type": kind})

    def decide(self, path, request, decision, code=None):
        fields = {"nonce": self.show(path).hidden["nonce"], "code": code or request["code"], "decision": decision}
        return self.post(path, fields)

    def test_the_page_is_a_form_that_needs_nonce_and_code(self):
        _, request, path = self.linked()
        page = self.show(path)
        self.assertEqual((page.form["method"].lower(), page.named), ("post", {"code"}))
        self.assertEqual(page.buttons, {("decision", "approve"), ("decision", "deny")})
        self.assertEqual(urllib.parse.urlsplit(page.form["action"]).path, path)
        good = {"nonce": page.hidden["nonce"], "code": request["code"], "decision": "approve"}
        for name in good:
            for wrong in (None, "", "x"):
                if (name, wrong) == ("code", "x"):
                    continue
                pairs = {key: value for key, value in (good | {name: wrong}).items() if value is not None}
                with self.subTest(name, wrong=wrong):
                    self.assertEqual(self.post(path, pairs).status, 400)
        self.assertEqual(self.post(path, [*good.items(), ("code", request["code"])]).status, 400)
        self.assertEqual(self.post(path, good | {"other": "x"}).status, 400)
        self.assertEqual(self.post(path, good, "text/plain").status, 415)
        self.assertEqual(self.status(request), "pending")
        self.assertEqual(self.events(request), ["approval_requested"])
        self.assertEqual(self.decide(path, request, "approve").status, 200)
        self.assertEqual(self.status(request), "approved")
        self.assertEqual([one["by"] for one in self.admin.approval(request["id"])["decisions"]], ["link holder"])

    def test_a_nonce_is_good_for_one_try(self):
        job, request, path = self.linked()
        nonce = self.show(path).hidden["nonce"]
        wrong = "222222" if request["code"] != "222222" else "333333"
        self.assertEqual(self.post(path, {"nonce": nonce, "code": wrong, "decision": "approve"}).status, 403)
        self.assertEqual(self.post(path, {"nonce": nonce, "code": request["code"], "decision": "approve"}).status, 400)
        self.assertEqual(self.status(request), "pending")
        self.assertEqual(self.decide(path, request, "approve", wrong).status, 403)
        self.assertEqual(self.status(request), "denied")
        self.assertNotIn("nonce", self.show(path).hidden)
        self.refused("quiet_time", job.ask, ["NPM_TOKEN"])

    def test_a_nonce_is_for_one_page(self):
        _, request, path = self.linked()
        other = self.linked()
        nonce = self.show(other[2]).hidden["nonce"]
        self.assertEqual(self.post(path, {"nonce": nonce, "code": request["code"], "decision": "approve"}).status, 400)
        self.assertNotEqual(self.show(path).hidden["nonce"], self.show(path).hidden["nonce"])
        self.assertEqual(self.decide(path, request, "deny").status, 200)
        self.assertEqual((self.status(request), self.status(other[1])), ("denied", "pending"))

    def test_looking_decides_nothing(self):
        _, request, path = self.linked()
        nonce = self.show(path).hidden["nonce"]
        query = {"nonce": nonce, "code": request["code"], "decision": "approve"}
        for method in ("GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"):
            for headers in ({"Sec-Purpose": "prefetch"}, {"User-Agent": "Slackbot-LinkExpanding 1.0"}, {"Content-Type": FORM}):
                self.server.client().send(method, path, query=query, headers=headers)
                self.server.client().send(method, path, raw=urllib.parse.urlencode(query).encode(), headers=headers)
        self.assertEqual(self.status(request), "pending")
        self.assertEqual(self.events(request), ["approval_requested"])

    def test_all_bad_links_are_answered_alike(self):
        _, request, path = self.linked()
        start, link = path[: len("/a/")], path[len("/a/"):]
        other = link[:-1] + ("A" if link[-1] != "A" else "B")
        pages = {
            self.server.client().send("GET", start + bad).body
            for bad in (other, link[:-1], link[:30] + link[32:], "fxa_x", "x")
        }
        self.assertEqual(len(pages), 1)
        for bad in (other, "x"):
            self.assertEqual(self.server.client().send("GET", start + bad).status, 404)
            self.assertEqual(self.post(start + bad, {"nonce": "x", "code": request["code"], "decision": "approve"}).status, 404)
        self.assertEqual(self.status(request), "pending")

    def test_the_page_is_safe_to_show(self):
        job = self.server.job()
        hostile = '<script>alert(1)</script>\x1b[31m\u202e"\' & more'
        repository = job.session()["principal"].split(":")[1]
        job.ask(["NPM_TOKEN"], ["sh", "-c", hostile], reason=hostile)
        path, message = self.server.link(lambda one: f"repo-{repository}" in one["title"])
        answer = self.server.client().send("GET", path)
        text = answer.body.decode()
        self.assertNotIn("<script", text)
        self.assertFalse(set("\x1b\u202e") & set(text + message["message"]))
        self.assertRegex(answer.headers["Content-Security-Policy"], "default-src 'none'.*frame-ancestors 'none'")
        self.assertNotIn("script-src", answer.headers["Content-Security-Policy"])
        self.assertIn("no-store", answer.headers["Cache-Control"])
        self.assertEqual(answer.headers["Referrer-Policy"], "no-referrer")

    def test_a_push_never_carries_the_code(self):
        job, request = self.asked()
        repository = job.session()["principal"].split(":")[1]
        message = self.server.pushes.next(lambda one: f"repo-{repository}" in one["title"])
        self.assertNotIn(request["code"], json.dumps(message))
        self.assertEqual([one["action"] for one in message["actions"]], ["view"])
        self.assertTrue(message["actions"][0]["url"].startswith(PUBLIC + "/a/"))


class Webhook(TeamCase):
    settings = '\n[notify.webhook]\nurl = "http://127.0.0.1:{ntfy}/hook"\nsecret_file = "hook.secret"\n'

    def test_a_webhook_is_signed_and_tells_what_is_asked(self):
        job, request = self.asked()
        self.assertEqual(request["asked"], ["ntfy", "webhook"])
        hook = self.server.pushes.next(lambda one: "fnox-signature" in one)
        seconds, signature = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})", hook["fnox-signature"]).groups()
        wanted = hmac.new(HOOK_SECRET, f"{seconds}.".encode() + hook["body"], hashlib.sha256).hexdigest()
        self.assertEqual((signature, hook["fnox-event"]), (wanted, "approval.asked"))
        body = json.loads(hook["body"])
        self.assertEqual(set(body), {"event", "title", "text", "page", "approval"})
        self.assertEqual((body["event"], body["approval"]["id"]), ("approval.asked", request["id"]))
        self.assertEqual(self.server.client().send("GET", body["page"].removeprefix(PUBLIC)).status, 200)
        self.assertNotIn(request["code"].encode(), hook["body"])


class Provisioning(TeamCase):
    def setUp(self):
        super().setUp()
        self.scim = self.server.client(self.server.provisioning)

    def create(self, name, **more):
        user = {"schemas": [SCIM_USER], "userName": name, "externalId": "x-" + name, "title": "not kept", **more}
        return self.scim.call("POST", "/scim/v2/Users", user)

    def patch(self, name, *operations):
        return self.scim.call("PATCH", f"/scim/v2/Users/{name}", {"schemas": [SCIM_PATCH], "Operations": list(operations)})

    def refused_as_scim(self, status, code, method, path, body=None, **more):
        answer = self.scim.send(method, path, body, **more)
        self.assertEqual((answer.status, answer.kind), (status, "application/scim+json"), answer.body)
        error = answer.json
        self.assertEqual((error["schemas"], error["status"], error["code"]), ([SCIM_ERROR], str(status), code))
        return error

    def test_people_come_are_found_and_go(self):
        user = self.create("ada", emails=[{"value": "ada@example.com", "primary": True}])
        self.assertEqual((user["schemas"], user["userName"], user["active"]), ([SCIM_USER], "ada", True))
        place = f"/scim/v2/Users/{user['id']}"
        self.assertEqual(self.scim.call("GET", place), user)
        self.assertTrue(user["meta"]["location"].endswith(place))
        for query in ('userName eq "ada"', 'externalId eq "x-ada"', 'USERNAME EQ "ada"'):
            found = self.scim.call("GET", "/scim/v2/Users", query={"filter": query})
            self.assertEqual((found["schemas"], found["totalResults"], found["Resources"]), ([SCIM_LIST], 1, [user]))
        self.assertEqual(self.scim.call("GET", "/scim/v2/Users", query={"filter": 'userName eq "nobody"'})["totalResults"], 0)
        again = {"schemas": [SCIM_USER], "userName": "ada"}
        told = self.refused_as_scim(409, "exists", "POST", "/scim/v2/Users", again)
        self.assertEqual(told["scimType"], "uniqueness")
        for query in ("userName co \"a\"", "title eq \"x\"", "userName eq ada", "userName eq \"a\" or userName eq \"b\""):
            told = self.refused_as_scim(400, "invalid_request", "GET", "/scim/v2/Users", query={"filter": query})
            self.assertEqual(told["scimType"], "invalidFilter")
        self.assertEqual(self.patch(user["id"], {"op": "replace", "path": "displayName", "value": "Ada"})["displayName"], "Ada")
        move = {"schemas": [SCIM_PATCH], "Operations": [{"op": "move", "path": "active", "value": 1}]}
        self.refused_as_scim(400, "invalid_request", "PATCH", place, move)
        self.refused_as_scim(400, "invalid_request", "PATCH", place, {"Operations": []})
        text = {"raw": b"{}", "headers": {"Content-Type": "text/plain"}}
        self.refused_as_scim(415, "unsupported_media_type", "POST", "/scim/v2/Users", **text)
        self.assertIsNone(self.scim.call("DELETE", place))
        self.refused_as_scim(404, "not_found", "GET", place)
        self.refused_as_scim(404, "not_found", "DELETE", place)

    def test_pages_of_people_miss_nobody(self):
        names = {self.create(f"page-{number}")["userName"] for number in range(5)}
        found, start = [], 1
        while True:
            page = self.scim.call("GET", "/scim/v2/Users", query={"startIndex": start, "count": 2})
            found += [one["userName"] for one in page["Resources"]]
            start += page["itemsPerPage"]
            if start > page["totalResults"]:
                break
        self.assertEqual(len(found), len(set(found)))
        self.assertLessEqual(names, set(found))

    def test_whoever_is_deactivated_loses_everything_at_once(self):
        for number, operation in enumerate([
            {"op": "replace", "path": "active", "value": False}, {"op": "Replace", "value": {"active": "False"}}, None,
        ]):
            with self.subTest(operation=operation):
                name = f"leaver-{number}"
                user = self.create(name)
                leaver = self.server.person(name, "approvers", "admins")
                leaver.session()
                if operation:
                    self.assertFalse(self.patch(user["id"], operation)["active"])
                else:
                    self.scim.call("DELETE", f"/scim/v2/Users/{user['id']}")
                self.refused("token_invalid", leaver.session)
                if operation:
                    with self.assertRaisesRegex(Exception, "policy_denied|oidc_invalid|role_missing"):
                        self.server.person(name, "approvers")
        deactivated = [one["agent"] for one in self.admin.audit(event="user_deactivated")]
        self.assertLessEqual({"leaver-0", "leaver-1"}, set(deactivated))
        self.assertIn("leaver-2", [one["agent"] for one in self.admin.audit(event="user_deleted")])

    def test_a_vote_of_whoever_left_counts_no_more(self):
        self.server.more = "approvals_needed = 2"
        self.server.write_policy()
        self.server.reload()
        user = self.create("voter")
        job, request = self.asked()
        self.server.person("voter", "approvers").approve(request["id"], request["code"])
        self.patch(user["id"], {"op": "replace", "path": "active", "value": False})
        self.assertEqual(self.server.person("bea", "approvers").approve(request["id"], request["code"])["status"], "pending")
        self.assertEqual(self.server.person("cid", "approvers").approve(request["id"], request["code"])["status"], "approved")

    def test_the_tokens_of_this_are_for_this(self):
        self.refused("token_invalid", self.scim.session)
        self.refused("token_invalid", self.scim.audit)
        body = {"schemas": [SCIM_USER], "userName": "mallory"}
        for client, status in [
            (self.server.job(), 403), (self.server.person("rita", "readers"), 403), (self.server.client("x"), 401), (self.admin, 201),
        ]:
            self.assertEqual(client.send("POST", "/scim/v2/Users", body).status, status)


class Auditing(TeamCase):
    def test_filters_pages_and_order(self):
        job, request, grant = self.granted()
        job.fetch(grant)
        self.refused("grant_used", job.fetch, grant)
        everything = self.admin.audit()
        numbers = [one["sequence"] for one in everything]
        self.assertEqual(numbers, list(range(1, len(numbers) + 1)))
        self.assertEqual(sorted(one["time"] for one in everything), [one["time"] for one in everything])
        self.assertEqual([one["sequence"] for one in self.admin.audit(limit=3)], numbers)
        self.assertEqual([one["sequence"] for one in self.admin.audit(limit=3, newest_first="true")], numbers[::-1])
        self.assertLessEqual({one["event"] for one in everything}, set(events()))
        principal = job.session()["principal"]
        for name, value in [
            ("event", "grant_created"), ("actor", principal), ("outcome", "denied"), ("project", "my-app"),
            ("approval", request["id"]),
        ]:
            wanted = [one for one in everything if one.get(name) == value]
            self.assertEqual(self.admin.audit(**{name: value}), wanted)
            self.assertTrue(wanted)
        middle = everything[len(everything) // 2]["time"]
        self.assertEqual([one for one in self.admin.audit(since=middle) if one["time"] < middle], [])
        self.assertEqual([one for one in self.admin.audit(until=middle) if one["time"] > middle], [])
        self.assertGreaterEqual(len(self.admin.audit(since=middle)) + len(self.admin.audit(until=middle)), len(everything))
        for query in [{"outcome": "maybe"}, {"since": "yesterday"}, {"approval": "x"}, {"limit": "x"}, {"other": 1}]:
            self.refused("invalid_request", self.admin.call, "GET", "/v1/audit", query=query)

    def test_each_record_has_a_mac_and_none_has_a_secret(self):
        job, request, grant = self.granted()
        (secret,) = job.fetch(grant)
        records = self.admin.audit()
        self.assertEqual(len({one["mac"] for one in records}), len(records))
        text = json.dumps(records)
        for hidden in (grant, job.token, secret["ciphertext"][:40], request["code"], self.server.bootstrap):
            self.assertNotIn(hidden, text)
            self.assertNotIn(hidden, self.server.log.read_text())

    def test_a_name_can_be_forgotten_once(self):
        job = self.server.job()
        name = urllib.parse.quote(job.session()["claims"]["repository"], safe="")
        self.admin.call("DELETE", f"/v1/admin/names/ci/{name}")
        self.refused("not_found", self.admin.call, "DELETE", f"/v1/admin/names/ci/{name}")
        self.assertEqual(len(self.admin.audit(event="name_forgotten")), 1)

    def test_an_end_of_the_server_leaves_a_log_that_verifies(self):
        self.asked()
        self.server.end()
        self.server.run("serve", "audit", "verify", "--config", str(self.server.config))
        self.server.start()
        self.assertEqual(self.server.client().call("GET", "/readyz"), {"status": "ok"})


class Emergencies(TeamCase):
    def test_frozen_means_that_nothing_is_released(self):
        job, request, grant = self.granted()
        _, other = self.approved(job, keys=["SENTRY_DSN"])
        self.assertEqual(self.admin.call("POST", "/v1/admin/freeze")["frozen"], True)
        self.assertTrue(self.admin.call("GET", "/v1/admin/state")["frozen"])
        for work in [lambda: job.fetch(grant), lambda: job.grant(other["id"]), lambda: job.ask(["NPM_TOKEN"], ["x"]),
                     lambda: job.grant_at_once(["FREE_TOKEN"])]:
            self.refused("frozen", work)
        self.assertEqual(self.admin.call("POST", "/v1/admin/unfreeze")["frozen"], False)
        self.assertEqual(len(job.fetch(grant)), 1)
        for event in ("server_frozen", "server_unfrozen"):
            self.assertEqual([one["outcome"] for one in self.admin.audit(event=event)], ["ok"])

    def test_revoking_all_ends_all_but_the_callers_session(self):
        job, _, grant = self.granted()
        _, pending = self.asked()
        ada = self.server.person("ada", "approvers")
        state = self.admin.call("POST", "/v1/admin/revoke-all")
        self.assertGreaterEqual(state["sessions_ended"], 3)
        self.assertGreaterEqual(state["approvals_cancelled"], 1)
        for client in (job, ada):
            self.refused("token_invalid", client.session)
        self.assertEqual(self.status(pending), "cancelled")
        self.assertRaisesRegex(Exception, "grant_expired|token_invalid", job.fetch, grant)
        self.assertEqual(self.admin.audit(event="everything_revoked")[-1]["outcome"], "ok")


class Recipients(TeamCase):
    more = f'recipient = "{OTHER_RECIPIENT}"'

    def test_a_secret_that_the_requester_cannot_open_is_not_asked_for(self):
        told = self.refused("recipient_missing", self.server.job().ask, ["NPM_TOKEN"])
        self.assertEqual(told["key"], "NPM_TOKEN")


class Limits(TeamCase):
    settings = "\n[limits]\nanonymous_per_minute = 20\nprincipal_per_minute = 60\n"

    def test_too_many_requests_are_refused_for_whoever_makes_them(self):
        job, other = self.server.job(), self.server.job()
        for limit, work in [(60, job.session), (20, lambda: self.server.client("x").session())]:
            codes = set()
            for _ in range(2 * limit):
                try:
                    work()
                except Exception as problem:
                    codes.add(getattr(problem, "code", problem))
            self.assertIn("rate_limited", codes)
        other.session()

    def test_health_and_the_document_are_for_everybody(self):
        client = self.server.client()
        for path in ("/healthz", "/readyz"):
            self.assertEqual(client.call("GET", path), {"status": "ok"})
        self.assertIn(b"# TYPE", client.send("GET", "/metrics").body)
        self.assertEqual(client.call("GET", "/v1/openapi.json")["info"]["title"], "fnox team server")
        self.assertEqual(client.call("GET", "/v1/login")["client_id"], "fnox")


if __name__ == "__main__":
    unittest.main()

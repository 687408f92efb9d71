"""An independent client against a real vault: everything that docs/reference/vault-protocol.md promises.

    python3 -m unittest discover -s tests

Every frame that the vault sends here is checked against vault-protocol.schema.json.
"""

import base64
import itertools
import struct
import time
import unittest
import uuid

from vault_client import MAX_FRAME, NIL, Client, Closed, Frames, Refused
from vault_server import POLICY, Vault

HOST = "api.example.com"
ALL_BYTES = bytes(range(256))


class VaultCase(unittest.TestCase):
    """One vault for each class."""

    @classmethod
    def setUpClass(cls):
        cls.vault = Vault()
        cls.addClassCleanup(cls.vault.stop)
        with cls.vault.admin() as admin:
            for name in ["once", "token-1", "token-2", "short", "injected", "bobs"]:
                admin.store(name, f"value of {name}".encode())

    def setUp(self):
        self.seen = len(self.vault.flaws)
        self.admin = self.connect(self.vault.admin)

    def tearDown(self):
        self.assertEqual(self.vault.flaws[self.seen :], [])

    def connect(self, how, *arguments, **more):
        client = how(*arguments, **more)
        self.addCleanup(client.close)
        return client

    def raw(self):
        """A connection on which nothing was said yet."""
        frames = Frames.unix(self.vault.socket)
        self.addCleanup(frames.close)
        return frames

    def token(self, agent, role="agent", **more):
        return self.admin.call("create_token", **{"agent": agent, "role": role, "ttl_secs": 7200, **more})

    def alice(self, **more):
        return self.connect(self.vault.agent, self.token("alice", **more)["token"])

    def refused(self, code, work, *arguments, **more):
        with self.assertRaises(Refused) as caught:
            work(*arguments, **more)
        self.assertEqual(caught.exception.code, code, caught.exception)
        return caught.exception

    def lease(self, client, secret="token-1", host=HOST, **more):
        return client.call("request_lease", **{"agent": "alice", "secret_name": secret, "domain": host, **more})


class EightMethods(VaultCase):
    def test_a_secret_is_stored_listed_leased_used_and_deleted(self):
        stored = self.admin.store("token-all", ALL_BYTES, kind="Pat", description="all bytes", tags={"a": "b"})
        self.assertEqual((stored["version"], stored["tags"]), (1, {"a": "b"}))
        self.assertIn("token-all", [one["name"] for one in self.admin.call("list_secrets")["secrets"]])
        self.refused("secret_already_exists", self.admin.store, "token-all", b"")
        alice = self.alice()
        grant = self.lease(alice, "token-all", ttl_secs=60)
        self.assertEqual(grant["allowed_domains"], [HOST])
        self.assertEqual((grant["renewable"], grant["remaining_uses"], grant["delivery"]), (True, None, "value"))
        self.assertEqual(alice.secret(grant["lease_id"], HOST), ALL_BYTES)
        renewed = alice.call("renew_lease", lease_id=grant["lease_id"], extension_secs=600)
        self.assertGreater(renewed["expires_at"], grant["expires_at"])
        self.assertEqual(alice.call("revoke_lease", lease_id=grant["lease_id"], reason="AdminRevoked"), {})
        self.refused("lease_revoked", alice.secret, grant["lease_id"], HOST)
        second, third = self.lease(alice, "token-all"), self.lease(alice, "token-all")
        self.assertEqual(alice.call("revoke_all_for_agent", agent="whoever"), {"revoked_count": 2})
        self.refused("lease_revoked", alice.secret, second["lease_id"], HOST)
        last = self.lease(alice, "token-all")
        self.assertEqual(self.admin.call("delete_secret", name="token-all"), {})
        self.refused("lease_revoked", alice.secret, last["lease_id"], HOST)
        self.refused("secret_not_found", self.admin.call, "delete_secret", name="token-all")
        self.refused("secret_not_found", self.lease, alice, "token-all")
        self.assertNotEqual(second, third)

    def test_every_kind_of_the_original_is_stored_and_given_back(self):
        kinds = ["Pat", "ApiKey", "BasicAuth", "SshKey", "ClientCert", "Opaque",
                 {"OAuth2": {"refresh_ciphertext": [1, 2, 255], "refresh_nonce": None}}]
        for number, kind in enumerate(kinds):
            name = f"kind-{number}"
            self.admin.store(name, b"x", kind=kind)
            self.assertEqual(self.admin.call("get_metadata", name=name)["kind"], kind)
        self.refused("invalid_request", self.admin.store, "kind-wrong", b"x", kind="Password")

    def test_lists_come_in_pages_that_miss_nothing(self):
        names = [f"page-{number:02}" for number in range(7)]
        for name in names:
            self.admin.store(name, b"x")
        found, after = [], {}
        while True:
            page = self.admin.call("list_secrets", limit=3, ignored="as in the original", **after)
            found += [one["name"] for one in page["secrets"]]
            if "next" not in page:
                break
            after = {"after": page["next"]}
        self.assertEqual([name for name in found if name.startswith("page-")], names)
        for method, largest in (("list_secrets", 500), ("list_leases", 1000), ("audit_query", 1000)):
            for limit in (0, largest + 1):
                self.refused("invalid_config", self.admin.call, method, limit=limit)
        self.refused("invalid_config", self.admin.call, "prune_secrets", keep=0)
        self.assertEqual(found, sorted(set(found)))

    def test_values_of_any_size_up_to_the_limit_travel(self):
        for size in [0, 1, 512 * 1024]:
            name = f"token-size-{size}"
            self.admin.store(name, b"\xff" * size)
            alice = self.alice()
            self.assertEqual(alice.secret(self.lease(alice, name)["lease_id"], HOST), b"\xff" * size)
        self.refused("invalid_request", self.admin.store, "token-large", b"x" * (512 * 1024 + 1))

    def test_an_orchestrator_asks_for_any_agent_and_administers_nothing(self):
        claw = self.connect(self.vault.agent, self.token("claw", "orchestrator")["token"])
        grant = self.lease(claw)
        self.assertEqual(claw.secret(grant["lease_id"], HOST), b"value of token-1")
        self.refused("access_denied", self.lease, claw, agent="nobody")
        for method, params in [("list_secrets", {}), ("delete_secret", {"name": "token-1"}), ("list_tokens", {})]:
            self.refused("access_denied", claw.call, method, **params)
        self.assertEqual(claw.call("revoke_all_for_agent", agent="alice")["revoked_count"], 1)


class Refusals(VaultCase):
    def test_each_refusal_has_its_code(self):
        alice = self.alice()
        self.refused("access_denied", self.lease, alice, "bobs")
        self.refused("access_denied", self.lease, alice, host="evil.example")
        self.refused("access_denied", self.lease, alice, "there-is-no-such-secret-and-no-rule")
        self.refused("secret_not_found", self.lease, alice, "token-missing")
        self.refused("access_denied", alice.call, "list_secrets")
        self.refused("lease_not_found", alice.secret, str(uuid.uuid4()), HOST)
        self.refused("access_denied", alice.secret, self.lease(alice)["lease_id"], "other.example")
        self.refused("access_denied", alice.secret, self.lease(alice, "injected")["lease_id"], HOST)
        self.refused("invalid_config", self.lease, alice, ttl_secs=0)
        self.refused("invalid_config", self.lease, alice, max_uses=0)
        self.refused("invalid_config", self.admin.call, "create_token", agent="x", role="agent", ttl_secs=0)
        self.refused("token_not_found", self.admin.call, "revoke_token", id=str(uuid.uuid4()))
        self.refused("session_not_found", self.lease, alice, session_token="fxvs_unknown", tool_name="git")
        self.refused("invalid_request", alice.call, "revoke_leases")
        once = self.lease(alice, "once")
        self.refused("invalid_config", alice.call, "renew_lease", lease_id=once["lease_id"], extension_secs=60)
        for seconds in [0, -1, 86_401]:
            lease = self.lease(alice)
            error = self.refused(
                "invalid_config", alice.call, "renew_lease", lease_id=lease["lease_id"], extension_secs=seconds)
            self.assertIn(str(seconds), error.message)

    def test_hosts_are_read_strictly_and_shown_as_they_were_read(self):
        alice = self.alice()
        self.assertEqual(self.lease(alice, host="API.Example.COM.")["allowed_domains"], [HOST])
        self.assertEqual(self.lease(alice, host="a.wild.example")["allowed_domains"], ["a.wild.example"])
        for garbage in [
            "", "*.wild.example", "evil.com/x.wild.example", "a b.wild.example", "..wild.example", "me@a.wild.example",
            "https://a.wild.example", "a.wild.example:0", "a.wild.example:65536", "a.wild.example\n", "0x7f.1",
        ]:
            with self.subTest(garbage):
                self.refused("invalid_request", self.lease, alice, host=garbage)
        self.refused("access_denied", self.lease, alice, host="wild.example")
        self.refused("access_denied", self.lease, alice, host="db.internal")
        grant = self.lease(alice, host="db.internal:5432")
        self.refused("access_denied", alice.secret, grant["lease_id"], "db.internal")
        self.assertEqual(alice.secret(grant["lease_id"], "db.internal:5432"), b"value of token-1")

    def test_names_that_are_none_and_bad_base64_are_invalid(self):
        for name in ["", "x" * 129, "new\nline", "nul\0"]:
            with self.subTest(name):
                self.refused("invalid_request", self.admin.store, name, b"x")
        for text in ["Z2h", "Z2hw\n", "-_-_", "Z2 w", "Z2hw===="]:
            with self.subTest(text):
                error = self.refused(
                    "invalid_request", self.admin.call, "store_secret", name="base64", plaintext=text, kind="Opaque")
                self.assertNotIn(text, error.message)

    def test_unknown_keys_are_refused_and_named(self):
        error = self.refused("invalid_request", self.lease, self.alice(), max_use=1)
        self.assertIn("max_use", error.message)

    def test_messages_do_not_repeat_what_stands_in_the_wrong_place(self):
        for key in ["kind", "tags", "algorithm"]:
            error = self.refused("invalid_request", self.admin.store, "misplaced", b"x", **{key: "hunter2"})
            self.assertNotIn("hunter2", error.message)

    def test_the_role_is_looked_at_before_the_parameters(self):
        self.refused("access_denied", self.alice().call, "store_secret", nonsense=True)


class Ownership(VaultCase):
    def test_one_agent_cannot_use_renew_revoke_or_see_the_lease_of_another(self):
        alice, bob = self.alice(), self.connect(self.vault.agent, self.token("bob")["token"])
        lease = self.lease(alice)["lease_id"]
        self.refused("lease_not_found", bob.secret, lease, HOST)
        self.refused("lease_not_found", bob.call, "renew_lease", lease_id=lease, extension_secs=60)
        self.refused("lease_not_found", bob.call, "revoke_lease", lease_id=lease, reason="AdminRevoked")
        self.assertEqual(bob.call("list_leases", agent="alice")["leases"], [])
        self.assertEqual(bob.call("revoke_leases", all=True)["revoked_count"], 0)
        self.assertEqual(bob.call("revoke_all_for_agent", agent="alice")["revoked_count"], 0)
        self.assertEqual(alice.secret(lease, HOST), b"value of token-1")

    def test_another_token_of_the_same_agent_does_not_reach_the_lease_and_another_connection_does(self):
        token = self.token("alice")["token"]
        lease = self.lease(self.connect(self.vault.agent, token))["lease_id"]
        self.refused("lease_not_found", self.alice().secret, lease, HOST)
        again = self.connect(self.vault.tcp, token)
        self.assertEqual(again.secret(lease, HOST), b"value of token-1")

    def test_an_administrator_reads_no_value_by_the_lease_of_an_agent(self):
        lease = self.lease(self.alice())["lease_id"]
        self.refused("lease_not_found", self.admin.secret, lease, HOST)

    def test_an_agent_asks_in_its_own_name_whatever_it_says(self):
        bob = self.connect(self.vault.agent, self.token("bob")["token"])
        self.refused("access_denied", self.lease, bob, agent="alice")
        grant = self.lease(bob, "bobs", agent="alice")
        listed = self.admin.call("list_leases", secret="bobs")["leases"]
        self.assertEqual([(one["lease_id"], one["agent"]) for one in listed], [(grant["lease_id"], "bob")])


class Uses(VaultCase):
    def test_a_lease_gives_as_many_values_as_it_has_uses_and_no_more(self):
        alice = self.alice()
        lease = self.lease(alice, max_uses=10)
        self.assertEqual(lease["remaining_uses"], 10)
        names = [alice.start("access_secret", lease_id=lease["lease_id"], target_domain=HOST) for _ in range(60)]
        outcomes = []
        for name in names:
            try:
                alice.answer(name)
                outcomes.append("value")
            except Refused as error:
                outcomes.append(error.code)
        self.assertEqual(outcomes.count("value"), 10)
        self.assertEqual(outcomes.count("lease_expired"), 50)

    def test_a_refused_access_spends_nothing(self):
        alice = self.alice()
        lease = self.lease(alice, "once")["lease_id"]
        self.refused("access_denied", alice.secret, lease, "other.example")
        self.assertEqual(alice.secret(lease, HOST), b"value of once")
        self.refused("lease_expired", alice.secret, lease, HOST)
        (listed,) = [one for one in alice.call("list_leases", all=True)["leases"] if one["lease_id"] == lease]
        self.assertEqual((listed["status"], listed["uses"]), ("exhausted", 1))

    def test_a_rules_uses_and_lifetime_are_the_limit(self):
        alice = self.alice()
        self.assertEqual(self.lease(alice, "once", max_uses=1000)["remaining_uses"], 1)
        longest = self.lease(alice, ttl_secs=86_400)
        usual = self.lease(alice, ttl_secs=1800)
        self.assertAlmostEqual(seconds(longest["expires_at"]), seconds(usual["expires_at"]), delta=60)

    def test_a_renewal_never_shortens(self):
        alice = self.alice()
        lease = self.lease(alice)
        renewed = alice.call("renew_lease", lease_id=lease["lease_id"], extension_secs=1)
        self.assertEqual(renewed["expires_at"], lease["expires_at"])


def seconds(text):
    """An RFC 3339 time as seconds."""
    whole = text.removesuffix("Z").split(".")[0]
    return time.mktime(time.strptime(whole, "%Y-%m-%dT%H:%M:%S"))


class MoreMethods(VaultCase):
    def test_who_am_i_and_how_are_you(self):
        me = self.admin.call("whoami")
        self.assertEqual((me["role"], me["agent"], me["token_id"]), ("admin", None, None))
        self.assertRegex(me["peer"], r"^uid:\d+$")
        token = self.token("alice")
        alice = self.connect(self.vault.agent, token["token"])
        me = alice.call("whoami")
        self.assertEqual((me["role"], me["agent"], me["peer"]), ("agent", "alice", f"token:{token['id']}"))
        self.assertNotIn("details", alice.call("health"))
        health = self.admin.call("health")
        self.assertEqual((health["status"], health["details"]["problems"]), ("ok", []))

    def test_a_new_value_is_delivered_by_a_lease_of_before(self):
        self.admin.store("token-new", b"before")
        alice = self.alice()
        lease = self.lease(alice, "token-new")["lease_id"]
        again = base64.b64encode(b"after").decode()
        updated = self.admin.call("update_secret", name="token-new", plaintext=again, if_version=1)
        self.assertEqual(updated["version"], 2)
        self.refused("conflict", self.admin.call, "update_secret", name="token-new", plaintext=again, if_version=1)
        self.assertEqual(alice.secret(lease, HOST), b"after")
        described = self.admin.call("update_secret", name="token-new", description="words")
        self.assertEqual((described["version"], described["description"]), (2, "words"))
        self.assertEqual(self.admin.call("prune_secrets", name="token-new", keep=1)["versions"], 1)

    def test_a_session_bounds_its_leases_and_ends_them(self):
        claw = self.connect(self.vault.agent, self.token("claw", "orchestrator")["token"])
        session = claw.call(
            "open_session", user="ada", channel="chat", max_session_secs=3600, max_concurrent_leases=2,
            max_renewals_per_lease=1,
            tool_bindings=[{"tool_name": "git", "allowed_secrets": ["token-1"], "allowed_domains": [HOST]}],
        )
        self.assertTrue(session["session_token"].startswith("fxvs_"))
        alice = self.alice()
        within = {"session_token": session["session_token"], "tool_name": "git"}
        first, _ = self.lease(alice, **within), self.lease(alice, **within)
        self.refused("session_lease_limit", self.lease, alice, **within)
        self.refused("access_denied", self.lease, alice, "token-2", **within)
        self.refused("access_denied", self.lease, alice, **{**within, "tool_name": "http"})
        self.refused("access_denied", self.lease, alice, session_token=session["session_token"])
        alice.call("renew_lease", lease_id=first["lease_id"], extension_secs=900)
        self.refused(
            "renewal_limit_reached", alice.call, "renew_lease", lease_id=first["lease_id"], extension_secs=1000)
        self.assertEqual(claw.call("close_session", session_id=session["session_id"])["revoked_count"], 2)
        self.assertEqual(claw.call("close_session", session_id=session["session_id"])["revoked_count"], 0)
        self.refused("lease_revoked", alice.secret, first["lease_id"], HOST)
        self.refused("session_revoked", self.lease, alice, **within)

    def test_policy_is_explained_and_reloaded_and_leases_are_judged_anew(self):
        explained = self.admin.call("policy_explain", agent="alice", secret="token-1", host="evil.example")
        self.assertFalse(explained["allowed"])
        self.assertTrue(explained["misses"])
        alice = self.alice()
        explained = alice.call("policy_explain", agent="bob", secret="token-1", host=HOST)
        self.assertTrue(explained["allowed"])
        self.assertNotIn("misses", explained)
        lease = self.lease(alice)["lease_id"]
        self.addCleanup(self.reload, POLICY)
        self.refused("invalid_policy", self.reload, POLICY + "\nnonsense = 1\n")
        self.assertEqual(alice.secret(lease, HOST), b"value of token-1")
        self.assertEqual(self.reload("")["rules"], 0)
        self.refused("lease_revoked", alice.secret, lease, HOST)
        self.refused("access_denied", self.lease, alice)

    def reload(self, policy):
        self.vault.policy.write_text(policy)
        with self.vault.admin() as admin:
            return admin.call("policy_reload")

    def test_everything_is_on_record_and_the_record_is_intact(self):
        alice = self.alice()
        self.refused("access_denied", self.lease, alice, "bobs")
        lease = self.lease(alice)["lease_id"]
        alice.secret(lease, HOST)
        page = self.admin.call("audit_query", lease=lease)
        self.assertEqual([one["event"] for one in page["records"]], ["lease_granted", "secret_accessed"])
        denied = self.admin.call("audit_query", agent="alice", outcome="denied", newest_first=True, limit=1)
        self.assertEqual(denied["records"][0]["secret"], "bobs")
        note = self.admin.call("audit_checkpoint")
        verified = self.admin.call("audit_verify", checkpoints=[note["note"]])
        self.assertEqual((verified["intact"], verified["flaws"]), (True, []))
        self.assertEqual(verified["verified"], verified["records"])
        self.refused("invalid_request", self.admin.call, "audit_verify", checkpoints=["not a note"])

    def test_keys_rotate_while_values_stay_readable(self):
        alice = self.alice()
        lease = self.lease(alice)["lease_id"]
        before = self.admin.call("key_status")
        rotated = self.admin.call("key_rotate")
        self.assertNotIn(rotated["key_id"], [key["id"] for key in before["keys"]])
        self.admin.call("key_rewrap", algorithm="XChaCha20-Poly1305")
        self.assertEqual(self.admin.call("get_metadata", name="token-1")["algorithm"], "XChaCha20-Poly1305")
        self.assertEqual(alice.secret(lease, HOST), b"value of token-1")

    def test_a_backup_is_written_once(self):
        path = str(self.vault.folder / "backup.db")
        self.assertGreater(self.admin.call("backup", path=path)["bytes"], 0)
        self.refused("invalid_request", self.admin.call, "backup", path="relative.db")
        with self.assertRaises(Refused):
            self.admin.call("backup", path=path)


class Questions(VaultCase):
    """What gateways ask people."""

    ONCE = {"allow": {"breadth": "request", "lasting": "once"}}

    def gateway(self, name="front"):
        return self.connect(self.vault.agent, self.token(name, "gateway")["token"])

    def ask(self, gateway, target="/pulls?draft=1", **more):
        request = {
            "agent": "alice", "rule": "1: token-1 -> api.example.com", "method": "POST", "host": f"{HOST}:443", "target": target,
            "body_length": 9, "body_sha256": "ab" * 32, **more,
        }
        return gateway.call("ask_approval", request=request, ttl_secs=600)["id"]

    def waiting(self):
        return [one["id"] for one in self.admin.call("list_approvals")["approvals"]]

    def decide(self, question, decision):
        return self.admin.call("decide_approval", id=question, decision=decision)

    def test_a_question_is_decided_once_and_only_its_gateway_hears_it(self):
        front, other = self.gateway(), self.gateway()
        question = self.ask(front)
        self.assertIn(question, self.waiting())
        heard = front.start("await_approval", id=question, wait_secs=20)
        self.assertEqual(front.call("await_approval", id=question), {})
        self.refused("approval_not_found", other.call, "await_approval", id=question)
        self.refused("approval_not_found", other.call, "take_back_approval", id=question)
        self.assertEqual(self.decide(question, self.ONCE), {})
        self.assertEqual(front.answer(heard), {"decision": self.ONCE})
        late = self.refused("conflict", self.decide, question, "deny")
        self.assertIn("admin uid:", late.message)
        self.assertEqual(front.call("await_approval", id=question), {"decision": self.ONCE})
        self.assertNotIn(question, self.waiting())
        self.assertNotEqual(self.ask(front), question)

    def test_a_question_that_was_taken_back_is_nobodys(self):
        front = self.gateway()
        question = self.ask(front)
        self.assertEqual(self.ask(front), question)
        self.assertNotEqual(self.ask(front, body_sha256="cd" * 32), question)
        self.assertEqual(front.call("take_back_approval", id=question), {})
        self.refused("approval_not_found", self.decide, question, self.ONCE)

    def test_agents_orchestrators_and_gateways_decide_nothing(self):
        front = self.gateway()
        question = self.ask(front)
        claw = self.connect(self.vault.agent, self.token("claw", "orchestrator")["token"])
        for client in [self.alice(), claw, front]:
            self.refused("access_denied", client.call, "list_approvals")
            self.refused("access_denied", client.call, "decide_approval", id=question, decision=self.ONCE)
        for client in [self.alice(), claw, self.admin]:
            self.refused("access_denied", self.ask, client)
            self.refused("access_denied", client.call, "await_approval", id=question)

    def test_what_is_no_question_is_refused(self):
        front = self.gateway()
        for wrong in [
            {"method": "GET /"}, {"host": "https://x"}, {"target": "x"}, {"target": "/" + "a" * 8192}, {"rule": "a\nb"},
            {"body_sha256": "AB" * 32}, {"body_length": -1}, {"more": 1},
        ]:
            with self.subTest(**wrong):
                self.refused("invalid_request", self.ask, front, **wrong)
        question = self.ask(front)
        self.refused("invalid_config", front.call, "await_approval", id=question, wait_secs=21)
        for wrong in ["allow", {"allow": {}}, {"allow": {"breadth": "all", "lasting": "once"}}]:
            self.refused("invalid_request", self.decide, question, wrong)
        forever = {"allow": {"breadth": "rule", "lasting": {"seconds": 2592001}}}
        self.refused("invalid_config", self.decide, question, forever)

    def test_one_gateway_does_not_bury_the_people(self):
        front = self.gateway("eager")
        for number in range(32):
            self.ask(front, f"/{number}")
        self.refused("too_many_requests", self.ask, front, "/one-more")

    def test_question_and_answer_are_on_record(self):
        front = self.gateway("recorded")
        self.decide(self.ask(front), "deny")
        records = self.admin.call("audit_query", event="approval_decided", newest_first=True)["records"]
        self.assertEqual((records[0]["outcome"], records[0]["agent"]), ("denied", "alice"))
        self.assertIn("POST /pulls with 9 bytes, sha256 " + "ab" * 32, records[0]["reason"])
        self.assertIn("asked by recorded (token:", records[0]["reason"])
        self.assertTrue(self.admin.call("audit_verify")["intact"])


class Events(VaultCase):
    def test_a_revocation_reaches_another_connection_and_subscribers_in_time(self):
        token = self.token("alice")["token"]
        alice, listener = (self.connect(self.vault.agent, token) for _ in range(2))
        everything = self.connect(self.vault.admin)
        bob = self.connect(self.vault.agent, self.token("bob")["token"])
        for client in [listener, everything, bob]:
            client.call("subscribe")
        lease = self.lease(alice)["lease_id"]
        alice.call("renew_lease", lease_id=lease, extension_secs=1700)
        self.assertEqual(listener.event()["type"], "lease_renewed")
        self.admin.call("revoke_lease", lease_id=lease, reason="AdminRevoked")
        self.refused("lease_revoked", alice.secret, lease, HOST)
        expected = {"type": "lease_revoked", "lease_id": lease, "agent": "alice", "reason": "AdminRevoked"}
        self.assertEqual(listener.event(), expected)
        self.assertEqual(everything.event()["type"], "lease_renewed")
        self.assertEqual(everything.event(), expected)
        own = self.lease(bob, "bobs")["lease_id"]
        bob.call("revoke_lease", lease_id=own, reason="AdminRevoked")
        event = bob.event()
        self.assertEqual((event["lease_id"], event["reason"]), (own, "Released"), "bob heard of a foreign lease")

    def test_an_expiry_is_told(self):
        alice = self.alice()
        alice.call("subscribe")
        lease = self.lease(alice, "short")["lease_id"]
        self.assertEqual(alice.event(), {"type": "lease_expired", "lease_id": lease, "agent": "alice"})
        self.refused("lease_expired", alice.secret, lease, HOST)

    def test_a_subscription_counts_also_in_the_middle_of_a_pipeline(self):
        alice = self.alice()
        lease = self.lease(alice)["lease_id"]
        frames = b""
        for method in ["whoami", "subscribe"]:
            request = f'{{"id":"{uuid.uuid4()}","method":"{method}","params":{{}}}}'.encode()
            frames += struct.pack(">I", len(request)) + request
        alice.frames.send_bytes(frames)
        alice.take()
        alice.take()
        self.admin.call("revoke_lease", lease_id=lease, reason="AdminRevoked")
        self.assertEqual(alice.event()["lease_id"], lease)

    def test_who_did_not_subscribe_hears_nothing(self):
        alice = self.alice()
        for _ in range(3):
            alice.call("revoke_lease", lease_id=self.lease(alice)["lease_id"], reason="AdminRevoked")
        self.assertEqual(alice.events, [])


class Tokens(VaultCase):
    def test_a_withdrawn_token_loses_connections_and_leases(self):
        made = self.token("alice")
        clients = [self.connect(self.vault.agent, made["token"]), self.connect(self.vault.tcp, made["token"])]
        lease = self.lease(clients[0])["lease_id"]
        withdrawn = self.admin.call("revoke_token", id=made["id"])
        self.assertEqual(withdrawn, {"leases_revoked": 1, "connections_closed": 2})
        for client in clients:
            self.assertTrue(client.is_closed())
        self.refused("authentication_failed", self.vault.agent, made["token"])
        (listed,) = [one for one in self.admin.call("list_leases", all=True)["leases"] if one["lease_id"] == lease]
        self.assertEqual((listed["status"], listed["reason"]), ("revoked", "TokenRevoked"))

    def test_a_token_ends_with_its_time_and_so_do_its_connections(self):
        made = self.token("alice", ttl_secs=3)
        alice = self.connect(self.vault.agent, made["token"])
        self.assertEqual(alice.call("whoami")["expires_at"], made["expires_at"])
        self.assertTrue(alice.is_closed())
        self.refused("authentication_failed", self.vault.agent, made["token"])

    def test_a_token_opens_as_many_connections_as_it_may(self):
        made = self.token("alice", max_uses=2)
        for _ in range(2):
            self.connect(self.vault.agent, made["token"]).call("whoami")
        self.refused("authentication_failed", self.vault.agent, made["token"])
        (listed,) = [one for one in self.admin.call("list_tokens")["tokens"] if one["id"] == made["id"]]
        self.assertEqual((listed["uses"], listed["max_uses"], listed["revoked"]), (2, 2, False))

    def test_a_token_that_is_bound_to_a_peer_serves_no_other(self):
        foreign = self.token("alice", peer="uid:4294967294")["token"]
        self.refused("authentication_failed", self.vault.agent, foreign)
        uid = self.admin.call("whoami")["peer"]
        own = self.token("alice", peer=uid)["token"]
        self.connect(self.vault.agent, own)
        self.refused("authentication_failed", self.vault.tcp, own)
        self.refused("invalid_request", self.token, "alice", peer="nonsense")

    def test_the_agents_socket_takes_no_administrator(self):
        admins = self.token("root", "admin")["token"]
        self.refused("authentication_failed", self.vault.agent, admins)
        self.assertEqual(self.connect(self.vault.admin, token=admins).call("whoami")["role"], "admin")
        self.assertEqual(self.connect(self.vault.tcp, admins).call("whoami")["role"], "admin")

    def test_without_a_token_nobody_gets_in_but_the_administrator_at_his_own_socket(self):
        for door in [self.vault.agent, self.vault.tcp]:
            self.refused("authentication_failed", door, None)

    def test_a_token_decides_the_role_also_at_the_administrators_socket(self):
        alice = self.connect(self.vault.admin, token=self.token("alice")["token"])
        self.refused("access_denied", alice.call, "list_secrets")


class Hello(VaultCase):
    def test_both_names_of_the_protocol_are_the_same(self):
        for name in ["zerolease", "fnox-vault"]:
            self.assertEqual(self.connect(self.vault.admin, protocol=name).call("whoami")["role"], "admin")

    def test_wrong_hellos_are_refused_with_a_reason_and_the_end(self):
        for hello in [
            {"protocol": "http", "version": 1}, {"protocol": "zerolease", "version": 0},
            {"protocol": "zerolease", "version": 2}, {"version": 1}, {"protocol": "zerolease", "version": "1"}, [], ["zerolease", 1],
            b"", b"GET / HTTP/1.1", {"protocol": "zerolease", "version": 1, "token": "x" * 4096},
        ]:
            with self.subTest(hello):
                frames = self.raw()
                frames.send(hello)
                answer = frames.receive()
                self.assertEqual((answer["ok"], answer["code"]), (False, "invalid_request"))
                self.assertTrue(answer["error"])
                with self.assertRaises(Closed):
                    frames.receive()

    def test_a_wrong_token_is_refused_in_the_hello_without_saying_why(self):
        made = self.token("alice")
        self.admin.call("revoke_token", id=made["id"])
        texts = set()
        for token in ["", "fxv_", "fxv_" + "A" * 43, made["token"], made["token"] + "A", made["token"].lower()]:
            texts.add(self.refused("authentication_failed", self.vault.tcp, token).message)
        self.assertEqual(len(texts), 1)

    def test_a_large_frame_before_the_hello_is_refused_before_it_has_come(self):
        for length in [4097, MAX_FRAME, 2**32 - 1]:
            frames = self.raw()
            frames.send_bytes(struct.pack(">I", length) + b'{"protocol"')
            self.assertEqual(frames.receive()["code"], "invalid_request")
            with self.assertRaises(Closed):
                frames.receive()

    def test_who_says_nothing_is_closed(self):
        frames = self.raw()
        frames.send_bytes(b"\0\0")
        with self.assertRaises(Closed):
            frames.receive()


class Framing(VaultCase):
    def test_requests_that_are_pipelined_are_answered_by_id(self):
        alice = self.alice()
        methods = ["whoami", "health", "list_leases"]
        names = {alice.start(method): method for method in itertools.islice(itertools.cycle(methods), 50)}
        for name in reversed(names):
            result = alice.answer(name)
            key = {"whoami": "role", "health": "status", "list_leases": "leases"}[names[name]]
            self.assertIn(key, result)
        self.assertEqual(sorted(alice.order), sorted(names), "each request has one answer")

    def test_more_requests_than_may_be_in_flight_are_answered_too(self):
        lease = self.lease(self.admin, agent="alice")["lease_id"]
        names = [self.admin.start("access_secret", lease_id=lease, target_domain=HOST) for _ in range(500)]
        for name in names:
            self.assertEqual(base64.b64decode(self.admin.answer(name)["secret"]), b"value of token-1")
        self.admin.call("revoke_lease", lease_id=lease, reason="AdminRevoked")

    def test_frames_may_come_in_pieces(self):
        alice = self.alice()
        request = f'{{"id":"{uuid.uuid4()}","method":"whoami","params":{{}}}}'.encode()
        for byte in struct.pack(">I", len(request)) + request:
            alice.frames.send_bytes(bytes([byte]))
        self.assertEqual(alice.frames.receive()["result"]["agent"], "alice")

    def test_what_is_no_request_is_answered_and_the_connection_goes_on(self):
        alice = self.alice()
        known = str(uuid.uuid4())
        for payload, name in [
            (b"", NIL), (b"{", NIL), (b"null", NIL), (b"[]", NIL), (b"\xff\xfe", NIL), (b'{"id":1}', NIL),
            ({"id": "no uuid", "method": "whoami", "params": {}}, NIL), ({"id": known, "method": "whoami"}, NIL),
            ({"id": known, "method": "no_such_method", "params": {}}, known),
            ({"id": known, "method": "whoami", "params": []}, known), ([known, "whoami", {}], NIL),
            ({"id": known, "method": "access_secret", "params": [known, HOST]}, known),
            ({"id": known, "method": "whoami", "params": {"x": 1}}, known),
            ({"id": known, "method": "access_secret", "params": {"lease_id": "x", "target_domain": HOST}}, known),
        ]:
            with self.subTest(payload):
                alice.frames.send(payload)
                answer = alice.frames.receive()
                self.assertEqual((answer["id"], answer["error"]["code"]), (name, "invalid_request"))
        self.assertEqual(alice.call("whoami")["agent"], "alice")

    def test_a_frame_of_one_mebibyte_is_read_and_one_byte_more_ends_the_connection(self):
        alice = self.alice()
        request = f'{{"id":"{uuid.uuid4()}","method":"whoami","params":{{}}}}'.encode()
        alice.frames.send(request + b" " * (MAX_FRAME - len(request)))
        self.assertTrue(alice.frames.receive()["ok"])
        alice.frames.send_bytes(struct.pack(">I", MAX_FRAME + 1))
        answer = alice.frames.receive()
        self.assertEqual((answer["id"], answer["error"]["code"]), (NIL, "invalid_request"))
        self.assertTrue(alice.is_closed())

    def test_half_a_frame_hurts_nobody_else(self):
        half = self.alice()
        half.frames.send_bytes(struct.pack(">I", 100) + b'{"id":')
        other = self.alice()
        self.assertEqual(other.call("whoami")["agent"], "alice")
        half.close()
        self.assertEqual(other.call("whoami")["agent"], "alice")

    def test_tcp_is_the_same(self):
        with self.vault.tcp(self.token("alice")["token"]) as alice:
            lease = self.lease(alice)["lease_id"]
            self.assertEqual(alice.secret(lease, HOST), b"value of token-1")


if __name__ == "__main__":
    unittest.main()

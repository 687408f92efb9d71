"""What the tests of the team server's protocol share."""

import threading
import unittest

from team_client import Problem
from team_server import RECIPIENT, TeamServer, age_file


class TeamCase(unittest.TestCase):
    """One server for each class. Every answer is checked against the pages."""

    settings = ""
    more = ""
    secrets = ("NPM_TOKEN", "SENTRY_DSN", "FREE_TOKEN")

    @classmethod
    def setUpClass(cls):
        cls.server = TeamServer(cls.settings, cls.more)
        cls.addClassCleanup(cls.server.stop)
        for key in cls.secrets:
            cls.server.admin.put(key, age_file(), [RECIPIENT])

    def setUp(self):
        self.seen = len(self.server.flaws)
        self.admin = self.server.admin

    def tearDown(self):
        self.assertEqual(self.server.flaws[self.seen :], [])

    def refused(self, code, work, *arguments, **more):
        """That a call ends with a problem of this code; its document, without what differs each time."""
        with self.assertRaises(Problem) as caught:
            work(*arguments, **more)
        self.assertEqual(caught.exception.code, code, caught.exception)
        return {key: value for key, value in caught.exception.document.items() if key != "request_id"}

    def asked(self, job=None, keys=("NPM_TOKEN",), **more):
        """A job, and its request that is pending."""
        job = job or self.server.job()
        request = job.ask(list(keys), **more)
        self.assertEqual(request["status"], "pending")
        return job, request

    def approved(self, job=None, keys=("NPM_TOKEN",), **more):
        job, request = self.asked(job, keys, **more)
        self.assertEqual(self.admin.approve(request["id"], request["code"])["status"], "approved")
        return job, request

    def granted(self, job=None, **more):
        job, request = self.approved(job, **more)
        return job, request, job.grant(request["id"])["grant_token"]

    @staticmethod
    def at_once(times, work):
        """What so many calls at the same time give, once all have ended."""
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(work())) for _ in range(times)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return answers

    def status(self, request):
        return self.admin.approval(request["id"])["status"]

    def events(self, request, **more):
        """The audit log's events about a request, in their order."""
        return [record["event"] for record in self.admin.audit(approval=request["id"], **more)]

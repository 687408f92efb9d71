"""Uses an app's API by PyGithub and prints the token that it got.

Arguments: URL of the server, app id, organisation. The app's key comes by KEY, a token to withdraw by TOKEN.
"""

import datetime
import os
import sys

import github

server, app, organisation = sys.argv[1:]

integration = github.GithubIntegration(
    auth=github.Auth.AppAuth(int(app), os.environ["KEY"]), base_url=server, retry=None
)
installation = integration.get_org_installation(organisation)
authorization = integration.get_access_token(installation.id, {"contents": "read"})
left = authorization.expires_at - datetime.datetime.now(datetime.timezone.utc)
assert datetime.timedelta(minutes=55) < left <= datetime.timedelta(hours=1), left
assert authorization.permissions["contents"] == "write", authorization.permissions

client = github.Github(
    auth=github.Auth.Token(os.environ["TOKEN"]), base_url=server, retry=None
)
status, _, _ = client.requester.requestJson("DELETE", "/installation/token")
assert status == 204, status
print(authorization.token)

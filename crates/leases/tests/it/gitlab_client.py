"""Makes, finds and deletes access tokens with python-gitlab."""

import os
import sys
from datetime import datetime, timedelta, timezone

import gitlab

url, project, group = sys.argv[1:]
client = gitlab.Gitlab(url, private_token=os.environ["MASTER"], retry_transient_errors=False)
end = (datetime.now(timezone.utc) + timedelta(days=2)).strftime("%Y-%m-%d")
holders = (client.projects.get(project, lazy=True), client.groups.get(group, lazy=True))
for holder in holders:
    tokens = holder.access_tokens
    made = tokens.create(
        {"name": "by-the-library", "scopes": ["read_api"], "access_level": 20, "expires_at": end}
    )
    assert made.token and made.expires_at == end
    assert [one.id for one in tokens.list(iterator=True, search="by-the", state="active")] == [made.id]
    tokens.delete(made.id)
    try:
        tokens.delete(made.id)
    except gitlab.exceptions.GitlabDeleteError as error:
        assert error.response_code == 404
    else:
        raise SystemExit("a token was deleted twice")

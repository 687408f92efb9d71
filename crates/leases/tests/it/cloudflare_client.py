"""Makes, finds and deletes tokens with Cloudflare's own library."""

import os
import sys
from datetime import datetime, timedelta, timezone

import cloudflare

url, account, group = sys.argv[1:]
client = cloudflare.Cloudflare(api_token=os.environ["MASTER"], base_url=url + "/client/v4", max_retries=0)
end = (datetime.now(timezone.utc) + timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
wanted = {
    "policies": [
        {
            "effect": "allow",
            "permission_groups": [{"id": group}],
            "resources": {"com.cloudflare.api.account.zone.*": "*"},
        }
    ],
    "condition": {"request_ip": {"in": ["192.0.2.0/24"]}},
    "expires_on": end,
}
for tokens, whose in ((client.user.tokens, {}), (client.accounts.tokens, {"account_id": account})):
    assert tokens.verify(**whose).status == "active"
    groups = {one.name: one.id for one in tokens.permission_groups.list(**whose)}
    assert groups["DNS Write"] == group
    made = tokens.create(name="by the library", **wanted, **whose)
    assert made.value and made.expires_on.strftime("%Y-%m-%dT%H:%M:%SZ") == end
    assert [one.id for one in tokens.list(per_page=50, **whose)] == [made.id]
    assert tokens.delete(made.id, **whose).id == made.id
    try:
        tokens.delete(made.id, **whose)
    except cloudflare.NotFoundError:
        pass
    else:
        raise SystemExit("a token was deleted twice")

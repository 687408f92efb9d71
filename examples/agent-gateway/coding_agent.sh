#!/bin/sh
# What a coding agent does at the end of its work: a branch, a commit, a push, a pull request.
# It finds a token in GITHUB_TOKEN and the address of GitHub in GITHUB_URL.
set -eu

git clone -q "$GITHUB_URL/acme/app.git" work
cd work
git checkout -q -b fix-typo
echo 'Hello, world.' > README
git add README
git -c user.name=agent -c user.email=agent@example.com commit -q -m 'Mend a typo'
git push -q origin fix-typo
curl -fsS "$GITHUB_URL/repos/acme/app/pulls" \
  -H "Authorization: Bearer $GITHUB_TOKEN" -H 'Content-Type: application/json' \
  -d '{"title": "Mend a typo", "head": "fix-typo", "base": "main"}'

# Shows what a program that runs under `fnox exec` has, and fails if it has more than it should.
set -eu

fail() {
  echo "show.sh: $1" >&2
  exit 1
}

[ "${GREETING-}" = "hello from an age file" ] || fail "GREETING is not there: was this run by fnox exec?"
[ -n "${DEMO_TOKEN-}" ] || fail "DEMO_TOKEN is not there: was this run by fnox exec?"
[ -z "${DEMO_MASTER+set}" ] || fail "DEMO_MASTER is here: the program can see the master key"
if env | grep -q 'demo-master-key-that-lives-forever'; then
  fail "the master key is here under another name"
fi

echo "GREETING:    $GREETING"
echo "DEMO_TOKEN:  $(printf %s "$DEMO_TOKEN" | cut -c1-9)... until $DEMO_TOKEN_EXPIRES"
echo "DEMO_MASTER: not here; only the lease saw it"

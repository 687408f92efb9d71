# shellcheck shell=bash
# The host of a coding agent's guest: a vault and a gateway on loopback, and an API behind it that knows one credential.
# Sourced by scripts/test-vm and scripts/test-vm-kit.

# vm_host: starts them. Takes $fnox and $scratch; sets $vault, $gateway and $upstream (ports), $value (the credential) and $lent (a
# secret that agents get themselves, for packages.example); adds to $pids; goes to $HOME, which is a new one, and leaves
# coder.token there.
vm_host() {
  export HOME=$scratch/home XDG_RUNTIME_DIR=$scratch/run
  unset XDG_CONFIG_HOME XDG_STATE_HOME XDG_DATA_HOME
  mkdir --mode=700 "$HOME" "$XDG_RUNTIME_DIR"
  cd "$HOME"
  umask 077

  read -r vault gateway upstream < <(python3 -c '
import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
print(*(one.getsockname()[1] for one in sockets))')

  # Not in a file that could be handed to the guest, and like nothing else.
  value=value-$(head --bytes 16 /dev/urandom | sha256sum | cut --characters 1-40)
  lent=lent-$(head --bytes 16 /dev/urandom | sha256sum | cut --characters 1-40)
  cat >upstream.py <<'PY'
import http.server, sys
class Api(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        known = self.headers.get("Authorization") == "Bearer " + sys.argv[2]
        self.wfile.write(b"welcome\n" if known else b"who are you?\n")
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Api).serve_forever()
PY
  python3 upstream.py "$upstream" "$value" &
  pids+=($!)

  "$fnox" vault init >/dev/null 2>&1
  cat >.config/fnox/policy.toml <<TOML
[[rule]]
agent = "coder-*"
secret = "api-token"
hosts = ["localhost:$upstream"]
delivery = "inject"
ttl = "20m"

[[rule]]
agent = "coder-*"
secret = "package-token"
hosts = ["packages.example"]
delivery = "value"
ttl = "20m"
TOML
  "$fnox" vault serve --listen "127.0.0.1:$vault" 2>vault.log &
  pids+=($!)
  until "$fnox" vault status >/dev/null 2>&1; do
    kill -0 "${pids[-1]}" || { cat vault.log >&2; exit 1; }
    sleep 0.2
  done
  printf %s "$value" | "$fnox" vault secret set api-token 2>/dev/null
  printf %s "$lent" | "$fnox" vault secret set package-token 2>/dev/null
  "$fnox" vault token create --agent gateway --role gateway --ttl 1h --output gateway.token 2>/dev/null
  "$fnox" vault token create --agent coder-1 --ttl 1h --output coder.token 2>/dev/null
  cat >gateway.toml <<TOML
listen = ["127.0.0.1:$gateway"]
token_file = "gateway.token"
allow_private = ["127.0.0.1:$upstream"]
[[rules]]
secret = "api-token"
domain = "localhost"
port = $upstream
methods = ["GET"]
env = "API_TOKEN"
TOML
  "$fnox" gateway serve --gateway-config gateway.toml 2>gateway.log &
  pids+=($!)
  until curl --silent --output /dev/null "http://127.0.0.1:$gateway/"; do
    kill -0 "${pids[-1]}" || { cat gateway.log >&2; exit 1; }
    sleep 0.2
  done
}

# vm_leases SECRET: the ids of its leases that are active.
vm_leases() {
  "$fnox" vault lease list --json | python3 -c '
import json, sys
print(*(lease["lease_id"] for lease in json.load(sys.stdin) if lease["secret_name"] == sys.argv[1]))' "$1"
}

# vm_revoke SECRET: withdraws the one lease of it that there must be.
vm_revoke() {
  local leases
  read -r -a leases < <(vm_leases "$1")
  if [ ${#leases[@]} -ne 1 ]; then
    echo "there must be one lease of $1: ${leases[*]}" >&2
    exit 1
  fi
  "$fnox" vault lease revoke "${leases[0]}" 2>/dev/null
}

# Starts and stops a moto server on a free loopback port. Sourced by scripts/test.

moto_process=

# moto_start PROGRAM LOG: sets and exports FNOX_TEST_MOTO_URL.
moto_start() {
  local program=$1 log=$2 port attempt
  for attempt in 1 2 3; do
    # Between this question and the server's start somebody else may take the port: then the next one.
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    "$program" --host 127.0.0.1 --port "$port" </dev/null >"$log" 2>&1 &
    moto_process=$!
    if moto_answers "http://127.0.0.1:$port"; then
      export FNOX_TEST_MOTO_URL="http://127.0.0.1:$port"
      return 0
    fi
    moto_stop
  done
  echo "moto did not start:" >&2
  cat "$log" >&2
  return 1
}

# moto_answers URL: asks until it answers, ends, or a minute is over.
moto_answers() {
  local end=$((SECONDS + 60))
  until curl --silent --fail --max-time 2 --output /dev/null "$1/moto-api/data.json"; do
    kill -0 "$moto_process" 2>/dev/null && [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.1
  done
}

moto_stop() {
  [ -n "$moto_process" ] || return 0
  kill "$moto_process" 2>/dev/null || true
  wait "$moto_process" 2>/dev/null || true
  moto_process=
}

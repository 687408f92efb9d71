# Runs steps, remembers how they ended, and says so at the end. Sourced by scripts/test.

steps_report=()
steps_failed=0
steps_left_out=0

# step NAME COMMAND...: a failure is reported at the end and does not keep the other steps from running.
step() {
  local name=$1 begin=$SECONDS word=ok
  shift
  printf '\n==> %s: %s\n' "$name" "$*"
  if ! "$@" </dev/null; then
    word=FAILED
    steps_failed=$((steps_failed + 1))
  fi
  printf '==> %s: %s (%s s)\n' "$name" "$word" "$((SECONDS - begin))"
  steps_report+=("$(printf '%-9s %4s s  %s' "$word" "$((SECONDS - begin))" "$name")")
}

# leave_out NAME REASON: a step that cannot run here.
leave_out() {
  steps_left_out=$((steps_left_out + 1))
  printf '\n==> %s: left out: %s\n' "$1" "$2"
  steps_report+=("$(printf '%-9s %6s  %s: %s' "left out" "" "$1" "$2")")
}

# summary: the whole run in one table; fails if a step did.
summary() {
  printf '\n==> summary\n'
  printf '%s\n' "${steps_report[@]}"
  printf '%s failed, %s left out, %s s in all\n' "$steps_failed" "$steps_left_out" "$SECONDS"
  [ "$steps_failed" -eq 0 ]
}

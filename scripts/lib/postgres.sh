# Starts and stops a private PostgreSQL cluster. Sourced by scripts/test.

postgres_folder=

# postgres_start: sets and exports FNOX_TEST_POSTGRES_URL (an administrator of the cluster) and
# FNOX_TEST_POSTGRES_CTL (the program with which tests of outages make clusters of their own).
postgres_start() {
  local answer
  export FNOX_TEST_POSTGRES_CTL="$PWD/scripts/lib/postgres-cluster"
  answer=$("$FNOX_TEST_POSTGRES_CTL" create)
  postgres_folder=${answer%%$'\n'*}
  export FNOX_TEST_POSTGRES_URL=${answer#*$'\n'}
}

postgres_stop() {
  [ -n "$postgres_folder" ] || return 0
  "$FNOX_TEST_POSTGRES_CTL" remove "$postgres_folder"
  postgres_folder=
}

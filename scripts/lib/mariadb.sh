# Starts and stops a private MariaDB server. Sourced by scripts/test.

mariadb_folder=

# mariadb_start: sets and exports FNOX_TEST_MARIADB_URL (an administrator of the server) and
# FNOX_TEST_MARIADB_FOLDER (where its ca.pem, its socket and statements.log, which tests read, are).
mariadb_start() {
  local answer
  answer=$("$PWD/scripts/lib/mariadb-cluster" create)
  mariadb_folder=${answer%%$'\n'*}
  export FNOX_TEST_MARIADB_FOLDER=$mariadb_folder
  export FNOX_TEST_MARIADB_URL=${answer#*$'\n'}
}

mariadb_stop() {
  [ -n "$mariadb_folder" ] || return 0
  "$PWD/scripts/lib/mariadb-cluster" remove "$mariadb_folder"
  mariadb_folder=
}

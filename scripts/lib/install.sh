# Installs what tests need. Sourced by scripts/test.

# install_debian_packages NAME...: those that are missing, as root or with sudo.
install_debian_packages() {
  local name missing=() as_root=()
  for name in "$@"; do
    if [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$name" 2>/dev/null)" != installed ]; then
      missing+=("$name")
    fi
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  echo "==> installing: ${missing[*]}"
  if [ "$(id -u)" -ne 0 ]; then
    if ! sudo --non-interactive true 2>/dev/null; then
      echo "these Debian packages are missing: ${missing[*]}" >&2
      echo "install them: sudo apt-get install ${missing[*]}" >&2
      exit 1
    fi
    as_root=(sudo --non-interactive)
  fi
  "${as_root[@]}" apt-get update --quiet=2 </dev/null
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install --quiet=2 --yes --no-install-recommends "${missing[@]}" </dev/null
}

# environment_folder NAME: where the Python environment for scripts/requirements/NAME.txt is. A change of
# the requirements makes a new one.
environment_folder() {
  local digest
  digest=$(sha256sum "scripts/requirements/$1.txt" | cut -c1-16)
  echo "$tools/$1-$digest"
}

# python_environment NAME: makes it unless it is complete. One for each tool: pip resolves several AWS
# packages in one environment for minutes.
python_environment() {
  local folder python=/usr/bin/python3
  folder=$(environment_folder "$1")
  [ ! -e "$folder/complete" ] || return 0
  [ -x "$python" ] || python=$(command -v python3)
  echo "==> installing the Python environment for $1"
  rm -rf "$folder"
  mkdir -p "$tools"
  "$python" -m venv "$folder"
  "$folder/bin/pip" install --quiet --disable-pip-version-check --no-input \
    --requirement "scripts/requirements/$1.txt" </dev/null
  touch "$folder/complete"
}

# node_modules NAME: where the packages of scripts/requirements/NAME/package-lock.json are. A change of them makes a
# new folder.
node_modules() {
  local digest
  digest=$(sha256sum "scripts/requirements/$1/package-lock.json" | cut -c1-16)
  echo "$tools/$1-$digest/node_modules"
}

# node_packages NAME: installs them unless they are there. Fails if Node.js 20 or npm is not.
node_packages() {
  local folder
  command -v npm >/dev/null && node --eval 'process.exitCode = parseInt(process.versions.node) < 20 ? 1 : 0' 2>/dev/null || return 1
  folder=$(dirname "$(node_modules "$1")")
  [ ! -e "$folder/complete" ] || return 0
  echo "==> installing the packages of Node.js for $1"
  rm -rf "$folder"
  mkdir -p "$folder"
  cp "scripts/requirements/$1/package.json" "scripts/requirements/$1/package-lock.json" "$folder"
  npm ci --prefix "$folder" --ignore-scripts --no-audit --no-fund --silent </dev/null
  touch "$folder/complete"
}

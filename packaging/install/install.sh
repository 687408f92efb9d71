#!/bin/sh
# Installs fnox for one person, without root:
#
#   curl -fsSL https://get.fnox.sh | sh
#   curl -fsSL https://get.fnox.sh | sh -s -- --to ~/bin
#
# It downloads one release archive, checks that the list of checksums is signed by one of the keys below and that the
# archive is on the list, and puts `fnox` into one folder. Nothing else on the machine is changed.
#
# scripts/release/render puts the version and the keys of a release in. Everything is in functions that the last line
# calls, so that half a download runs nothing.
set -eu

version='@VERSION@'
# Where a release's files are; VERSION stands for the version without its "v".
releases='https://github.com/fnox-project/fnox/releases/download/vVERSION'
# Who may sign releases, as ssh-keygen(1) reads it ("ALLOWED SIGNERS").
signers='@SIGNERS@'
# What a signature is for, so that one made for something else does not count here.
namespace='fnox-release'

usage() {
  cat <<'TEXT'
Installs fnox for one person, without root.

usage: install.sh [--version VERSION] [--to FOLDER] [--from URL] [--without-signature]

  --version VERSION     another release than the newest (FNOX_INSTALL_VERSION)
  --to FOLDER           where `fnox` goes (FNOX_INSTALL_TO; default: $XDG_BIN_HOME, else ~/.local/bin)
  --from URL            a mirror: the folder with the release's files (FNOX_INSTALL_FROM)
  --without-signature   checks the checksum alone, where ssh-keygen (OpenSSH 8.2 or later) is missing
TEXT
}

say() { printf '%s\n' "$*" >&2; }

# What failed, and then what to do about it, a line each.
fail() {
  say "fnox was not installed: $1"
  shift
  for line in "$@"; do say "  $line"; done
  exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

need() {
  has "$1" || fail "the program \`$1\` is missing" "install it, for example with your system's package manager, and run this again"
}

# The release's name of this machine.
target() {
  system=$(uname -s)
  machine=$(uname -m)
  case "$machine" in
    x86_64 | amd64) machine=x86_64 ;;
    aarch64 | arm64) machine=aarch64 ;;
    *) fail "there is no release for a $machine processor" \
      "build it: cargo install --locked --git https://github.com/fnox-project/fnox fnox-cli" ;;
  esac
  case "$system" in
    # One static program for every Linux, whatever its C library.
    Linux) printf '%s-unknown-linux-musl' "$machine" ;;
    Darwin) printf '%s-apple-darwin' "$machine" ;;
    MINGW* | MSYS* | CYGWIN*) fail "this script is for Linux and macOS, and this is Windows" \
      "for Windows itself there is $from/fnox-$version-x86_64-pc-windows-gnu.zip, without daemon and servers" \
      "with everything: run this script inside the Windows Subsystem for Linux (wsl --install)" ;;
    *) fail "there is no release for $system" \
      "build it: cargo install --locked --git https://github.com/fnox-project/fnox fnox-cli" ;;
  esac
}

# Downloads $1 to the file $2. Never without TLS, except from this very machine.
download() {
  case "$1" in
    https://*) protocol='=https' ;;
    http://127.0.0.1:* | http://localhost:* | 'http://[::1]:'*) protocol='=http' ;;
    *) fail "$1 is neither https nor on this machine" "name a mirror with https" ;;
  esac
  if has curl; then
    # shellcheck disable=SC2086 # the two words of the option
    curl --fail --silent --show-error --location --proto "$protocol" --tlsv1.2 --retry 3 \
      --connect-timeout 20 --max-time 600 --output "$2" "$1" >&2 \
      || fail "$1 could not be downloaded" "check the network and the version, and run this again"
  elif has wget; then
    wget --quiet --tries 3 --timeout 60 --output-document "$2" "$1" >&2 \
      || fail "$1 could not be downloaded" "check the network and the version, and run this again"
  else
    fail "neither curl nor wget is here" "install one of them and run this again"
  fi
}

# Whether the list of checksums $1 has the signature $2.
check_signature() {
  if [ "$without_signature" = yes ]; then
    say "The signature is not checked, as you asked."
    return
  fi
  has ssh-keygen || fail "the signature cannot be checked: ssh-keygen is missing" \
    "install OpenSSH 8.2 or later, or run this again with --without-signature to trust the download alone"
  printf '%s\n' "$signers" >"$work/signers"
  signer=$(ssh-keygen -Y find-principals -f "$work/signers" -s "$2" 2>/dev/null | head -n 1) || signer=
  [ -n "$signer" ] || fail "the list of checksums is signed by nobody that this script knows" \
    "do not use these files; tell us: https://github.com/fnox-project/fnox/security"
  ssh-keygen -Y verify -f "$work/signers" -I "$signer" -n "$namespace" -s "$2" <"$1" >/dev/null 2>&1 \
    || fail "the signature of the list of checksums is wrong" \
      "do not use these files; tell us: https://github.com/fnox-project/fnox/security"
  say "The release is signed by $signer."
}

# Whether the file $2 has the checksum that the list $1 gives for its name.
check_checksum() {
  listed=$(basename "$2")
  wanted=$(awk -v name="$listed" '$2 == name || $2 == "*" name { print $1 }' "$1")
  case "$wanted" in
    ????????????????????????????????????????????????????????????????) ;;
    *) fail "the list of checksums does not have $listed" "that version may not exist for this machine" ;;
  esac
  if has sha256sum; then
    found=$(sha256sum <"$2" | cut -c 1-64)
  else
    need shasum
    found=$(shasum -a 256 <"$2" | cut -c 1-64)
  fi
  [ "$found" = "$wanted" ] || fail "$listed is not what was released" \
    "wanted SHA-256 $wanted" "got    SHA-256 $found" "try again; if it stays so, do not use it and tell us"
}

options() {
  without_signature=no
  version=${FNOX_INSTALL_VERSION:-$version}
  from=${FNOX_INSTALL_FROM:-}
  to=${FNOX_INSTALL_TO:-}
  while [ $# -gt 0 ]; do
    case "$1" in
      --without-signature) without_signature=yes ;;
      -h | --help)
        usage
        exit 0
        ;;
      --version | --to | --from)
        [ $# -ge 2 ] || fail "$1 wants a value" "see --help"
        case "$1" in
          --version) version=$2 ;;
          --to) to=$2 ;;
          --from) from=$2 ;;
        esac
        shift
        ;;
      *) fail "there is no option $1" "see --help" ;;
    esac
    shift
  done
  version=${version#v}
  case "$version" in
    *[!0-9A-Za-z.+-]* | '' | .*) fail "\`$version\` is not a version" \
      "this script belongs to a release: get it from https://get.fnox.sh, or name one, as in --version 1.2.3" ;;
  esac
  if [ -z "$to" ]; then
    [ -n "${HOME:-}" ] || fail "there is no HOME, so nothing says where fnox goes" "name a folder with --to"
    to=${XDG_BIN_HOME:-$HOME/.local/bin}
  fi
  if [ -z "$from" ]; then
    from="${releases%VERSION*}$version"
  fi
  from=${from%/}
}

# Puts the checked program in place, in one step: a program that runs keeps its file.
place() {
  mkdir -p "$to" || fail "the folder $to cannot be made" "name another one with --to"
  new="$to/.fnox-new-$$"
  cp "$1" "$new" 2>/dev/null || fail "$to cannot be written" "name another folder with --to"
  chmod 755 "$new"
  if ! reported=$("$new" --version 2>/dev/null); then
    rm -f "$new"
    fail "the program does not run on this machine" "tell us what \`uname -a\` says: https://github.com/fnox-project/fnox/issues"
  fi
  mv -f "$new" "$to/fnox"
}

advise() {
  say "Installed $reported: $to/fnox"
  found=$(command -v fnox || true)
  if [ "$found" = "$to/fnox" ]; then
    say "Begin with: fnox init"
  elif [ -n "$found" ]; then
    say "Another one comes first on your PATH: $found"
  else
    say "$to is not on your PATH. In bash or zsh: export PATH=\"$to:\$PATH\""
  fi
  say "To remove it: rm '$to/fnox'"
}

main() {
  options "$@"
  need uname
  need tar
  need awk
  name="fnox-$version-$(target)"
  work=$(mktemp -d) || fail "no temporary folder can be made" "set TMPDIR to a folder that can be written"
  trap 'rm -rf "$work" "$to/.fnox-new-$$"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  say "Downloading $name from $from"
  download "$from/SHA256SUMS" "$work/SHA256SUMS"
  [ "$without_signature" = yes ] || download "$from/SHA256SUMS.sig" "$work/SHA256SUMS.sig"
  check_signature "$work/SHA256SUMS" "$work/SHA256SUMS.sig"
  download "$from/$name.tar.gz" "$work/$name.tar.gz"
  check_checksum "$work/SHA256SUMS" "$work/$name.tar.gz"
  tar -xzf "$work/$name.tar.gz" -C "$work" "$name/fnox" || fail "$name.tar.gz holds no program" "tell us"
  place "$work/$name/fnox"
  advise
}

main "$@"

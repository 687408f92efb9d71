# shellcheck shell=bash
# What goes beside the program into an archive or a package. Sourced.

# manual_pages ROOT FOLDER
manual_pages() {
  mkdir -p "$2"
  install -m 644 "$1"/docs/man/*.1 "$2/"
}

# completions BINARY FOLDER: scripts by the names that shells look for.
completions() {
  mkdir -p "$2"
  "$1" completion bash >"$2/fnox.bash"
  "$1" completion zsh >"$2/_fnox"
  "$1" completion fish >"$2/fnox.fish"
  "$1" completion elvish >"$2/fnox.elv"
  "$1" completion nu >"$2/fnox.nu"
  "$1" completion powershell >"$2/fnox.ps1"
  chmod 644 "$2"/*
}

# Loads the secrets of the folder that you are in, and takes them away again when you leave it.
export FNOX_SHELL=zsh
typeset -g __fnox_program=@PROGRAM@

fnox() {
  if [[ $# -ne 1 || $1 != deactivate ]]; then
    "$__fnox_program" "$@"
    return
  fi
  local __fnox_script
  if [[ -x $__fnox_program ]]; then
    __fnox_script="$("$__fnox_program" deactivate --shell zsh --shell-pid $$)" || return
    eval "$__fnox_script"
  else
    eval "${__fnox_undo-}"
  fi
  __fnox_off
}

__fnox_hook() {
  local __fnox_status=$? __fnox_script
  emulate -L zsh
  # `cd` in `$(…)` is no change of this shell's folder.
  (( ZSH_SUBSHELL == 0 )) && [[ -x $__fnox_program ]] || return $__fnox_status
  # Ctrl-C ends fnox's waiting, which fnox remembers; it must not end this function before that is evaluated.
  setopt localtraps
  trap ':' INT
  __fnox_script="$("$__fnox_program" hook-env --shell zsh --shell-pid $$@FLAGS@)"
  eval "$__fnox_script"
  return $__fnox_status
}

__fnox_off() {
  autoload -Uz add-zsh-hook
  add-zsh-hook -d precmd __fnox_hook
  add-zsh-hook -d chpwd __fnox_hook
  add-zsh-hook -d zshexit __fnox_exit
  unset FNOX_SHELL __FNOX_SESSION __fnox_program __fnox_undo
  unset -f -m fnox __fnox_hook __fnox_exit __fnox_off
}
# @HOOK@

# Removes files of secrets.
__fnox_exit() {
  "$__fnox_program" deactivate --shell zsh --shell-pid $$ >/dev/null 2>&1
}

autoload -Uz add-zsh-hook
add-zsh-hook precmd __fnox_hook
add-zsh-hook chpwd __fnox_hook
add-zsh-hook zshexit __fnox_exit
# @END@

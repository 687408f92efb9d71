# Loads the secrets of the folder that you are in, and takes them away again when you leave it.
export FNOX_SHELL=bash
__fnox_program=@PROGRAM@

fnox() {
  if [[ $# -ne 1 || $1 != deactivate ]]; then
    "$__fnox_program" "$@"
    return
  fi
  local __fnox_script
  if [[ -x $__fnox_program ]]; then
    __fnox_script=$("$__fnox_program" deactivate --shell bash --shell-pid $$) || return
    eval "$__fnox_script"
  else
    eval "${__fnox_undo-}"
  fi
  __fnox_off
}

__fnox_hook() {
  local __fnox_status=$? __fnox_script __fnox_trap
  [[ -x $__fnox_program ]] || return $__fnox_status
  # Ctrl-C ends fnox's waiting, which fnox remembers; it must not end this function before that is evaluated.
  __fnox_trap=$(trap -p INT)
  trap ':' INT
  __fnox_script=$("$__fnox_program" hook-env --shell bash --shell-pid $$@FLAGS@)
  eval "$__fnox_script"
  trap - INT
  [[ -z $__fnox_trap ]] || eval "$__fnox_trap"
  return $__fnox_status
}

# PROMPT_COMMAND may be a string or, from bash 5.1 on, an array.
# shellcheck disable=SC2128,SC2178
__fnox_off() {
  local __fnox_entry __fnox_kept=()
  if [[ $(declare -p PROMPT_COMMAND 2>/dev/null) == 'declare -a'* ]]; then
    for __fnox_entry in "${PROMPT_COMMAND[@]}"; do
      [[ $__fnox_entry == __fnox_hook ]] || __fnox_kept+=("$__fnox_entry")
    done
    PROMPT_COMMAND=("${__fnox_kept[@]}")
  else
    PROMPT_COMMAND=${PROMPT_COMMAND//__fnox_hook;/}
    PROMPT_COMMAND=${PROMPT_COMMAND//__fnox_hook/}
  fi
  [[ $(trap -p EXIT) != *__fnox_exit* ]] || trap - EXIT
  unset FNOX_SHELL __FNOX_SESSION __fnox_program __fnox_undo
  unset -f fnox __fnox_hook __fnox_exit __fnox_off
}
# @HOOK@

# Removes files of secrets. A trap of yours stays, and then the next shell removes them.
__fnox_exit() {
  "$__fnox_program" deactivate --shell bash --shell-pid $$ >/dev/null 2>&1
}
[[ -n $(trap -p EXIT) ]] || trap __fnox_exit EXIT

# shellcheck disable=SC2128,SC2178
if [[ " ${PROMPT_COMMAND[*]-} " != *__fnox_hook* ]]; then
  if [[ $(declare -p PROMPT_COMMAND 2>/dev/null) == 'declare -a'* ]]; then
    PROMPT_COMMAND=(__fnox_hook "${PROMPT_COMMAND[@]}")
  else
    PROMPT_COMMAND="__fnox_hook${PROMPT_COMMAND:+;$PROMPT_COMMAND}"
  fi
fi
# @END@

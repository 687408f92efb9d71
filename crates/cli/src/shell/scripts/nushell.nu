# Loads the secrets of the folder that you are in, and takes them away again when you leave it.
export-env {
  $env.FNOX_SHELL = "nu"
  # A record is not passed on to programs.
  $env.__fnox_undo = { set: {}, unset: [] }
  # @HOOK@
  let hook = { condition: {|| "FNOX_SHELL" in $env }, code: {|| __fnox_hook } }
  $env.config = ($env.config? | default {} | upsert hooks {|config|
    $config.hooks? | default {}
    | upsert pre_prompt {|hooks| ($hooks.pre_prompt? | default []) ++ [$hook] }
    | upsert env_change {|hooks|
      $hooks.env_change? | default {}
      | upsert PWD {|changes| ($changes.PWD? | default []) ++ [$hook] }
    }
  })
  # @END@
}

const __fnox_program = @PROGRAM@

def --env __fnox_apply [changes: record] {
  for name in $changes.unset { hide-env --ignore-errors $name }
  load-env $changes.set
  if "undo" in $changes { $env.__fnox_undo = $changes.undo }
}

export def --env __fnox_hook [] {
  if ($__fnox_program | path exists) {
    let output = (^$__fnox_program hook-env --shell nu --shell-pid $nu.pid@FLAGS@)
    if ($output | is-not-empty) { __fnox_apply ($output | from json) }
  }
}

export def --env --wrapped fnox [...arguments: string] {
  if $arguments != ["deactivate"] {
    ^$__fnox_program ...$arguments
  } else {
    if ($__fnox_program | path exists) {
      __fnox_apply (^$__fnox_program deactivate --shell nu --shell-pid $nu.pid | from json)
    } else {
      __fnox_apply $env.__fnox_undo
    }
    hide-env --ignore-errors FNOX_SHELL
    hide-env --ignore-errors __FNOX_SESSION
    hide-env --ignore-errors __fnox_undo
  }
}

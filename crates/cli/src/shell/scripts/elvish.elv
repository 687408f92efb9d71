# Loads the secrets of the folder that you are in, and takes them away again when you leave it.
set-env FNOX_SHELL elvish
use path
var fnox-program = @PROGRAM@
var fnox-run~ = (external $fnox-program)
var fnox-undo = [&set=[&] &unset=[]]
var fnox-is-on = $true

fn fnox-apply {|changes|
  each {|name| unset-env $name } $changes[unset]
  keys $changes[set] | each {|name| set-env $name $changes[set][$name] }
  if (has-key $changes undo) { set fnox-undo = $changes[undo] }
}

fn fnox-hook {
  if (and $fnox-is-on (path:is-regular &follow-symlink=$true $fnox-program)) {
    try {
      var output = (fnox-run hook-env --shell elvish --shell-pid $pid@FLAGS@ | slurp)
      if (not-eq $output '') { fnox-apply (print $output | from-json) }
    } catch _ { }
  }
}

fn fnox-wrapped {|@arguments|
  if (not-eq $arguments [deactivate]) {
    fnox-run $@arguments
  } else {
    if (path:is-regular &follow-symlink=$true $fnox-program) {
      fnox-apply (fnox-run deactivate --shell elvish --shell-pid $pid | from-json)
    } else {
      fnox-apply $fnox-undo
    }
    unset-env FNOX_SHELL
    unset-env __FNOX_SESSION
    set fnox-is-on = $false
    edit:add-var fnox~ (external $fnox-program)
  }
}
edit:add-var fnox~ $fnox-wrapped~
# @HOOK@
set edit:before-readline = [$@edit:before-readline $fnox-hook~]
set after-chdir = [$@after-chdir {|_| fnox-hook }]
# @END@

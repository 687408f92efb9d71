# Loads the secrets of the folder that you are in, and takes them away again when you leave it.
set -gx FNOX_SHELL fish
set -g __fnox_program @PROGRAM@

function fnox
    if test (count $argv) -ne 1 -o "$argv[1]" != deactivate
        $__fnox_program $argv
        return
    end
    if test -x $__fnox_program
        set -l __fnox_script ($__fnox_program deactivate --shell fish --shell-pid $fish_pid | string collect)
        or return
        eval $__fnox_script
    else
        eval $__fnox_undo
    end
    __fnox_off
end

function __fnox_off
    set -e -g FNOX_SHELL __FNOX_SESSION __fnox_program __fnox_undo
    functions -e fnox __fnox_hook __fnox_exit __fnox_off
end
# @HOOK@

function __fnox_hook --on-event fish_prompt --on-variable PWD
    # `cd` in `(…)` is no change of this shell's folder.
    status is-command-substitution
    and return
    test -x $__fnox_program
    or return
    # Ctrl-C ends fnox's waiting, which fnox remembers. With a handler of its own it does not end this function too.
    function __fnox_interrupted --on-signal INT
    end
    $__fnox_program hook-env --shell fish --shell-pid $fish_pid@FLAGS@ | source
    functions -e __fnox_interrupted
end

# Removes files of secrets.
function __fnox_exit --on-event fish_exit
    $__fnox_program deactivate --shell fish --shell-pid $fish_pid >/dev/null 2>&1
end
# @END@

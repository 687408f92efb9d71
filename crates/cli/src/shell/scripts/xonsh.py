# Loads the secrets of the folder that you are in, and takes them away again when you leave it.
def __fnox_activate():
    import json, os, subprocess
    from xonsh.built_ins import XSH
    from xonsh.events import events

    program = @PROGRAM@
    state = {"undo": {"set": {}, "unset": []}, "on": True}

    def run(arguments, **options):
        command = [program, *arguments, "--shell", "xonsh", "--shell-pid", str(os.getpid())]
        return subprocess.run(command, stdout=subprocess.PIPE, env=XSH.env.detype(), **options)

    def apply(changes):
        for name in changes["unset"]:
            XSH.env.pop(name, None)
        for name, value in changes["set"].items():
            XSH.env[name] = value
        state["undo"] = changes.get("undo", state["undo"])

    def hook(**_):
        if not state["on"] or not os.access(program, os.X_OK):
            return
        try:
            output = run(["hook-env"@FLAGS@]).stdout
        except KeyboardInterrupt:
            return
        if output:
            apply(json.loads(output))

    def leave(**_):
        # Removes files of secrets.
        if state["on"] and os.access(program, os.X_OK):
            run(["deactivate"], stderr=subprocess.DEVNULL)

    def wrapped(arguments, stdin=None):
        if arguments != ["deactivate"]:
            return subprocess.run([program, *arguments], env=XSH.env.detype()).returncode
        if os.access(program, os.X_OK):
            done = run(["deactivate"])
            if done.returncode != 0:
                return done.returncode
            apply(json.loads(done.stdout))
        else:
            apply(state["undo"])
        state["on"] = False
        for name in ["FNOX_SHELL", "__FNOX_SESSION"]:
            XSH.env.pop(name, None)
        del XSH.aliases["fnox"]

    XSH.env["FNOX_SHELL"] = "xonsh"
    # On the terminal itself, not through a pipe: fnox has commands that ask.
    wrapped.__xonsh_threadable__ = False
    wrapped.__xonsh_capturable__ = False
    XSH.aliases["fnox"] = wrapped
    # @HOOK@
    events.on_pre_prompt(hook)
    events.on_chdir(lambda olddir, newdir, **_: hook())
    events.on_exit(leave)
    # @END@


__fnox_activate()
del __fnox_activate

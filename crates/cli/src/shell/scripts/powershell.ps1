# Loads the secrets of the folder that you are in, and takes them away again when you leave it.
$env:FNOX_SHELL = 'pwsh'
$global:__fnox_program = @PROGRAM@
$global:__fnox_undo = ''

# Values are UTF-8, whatever the console's encoding is.
function global:__fnox_script {
    $encoding = [Console]::OutputEncoding
    try {
        [Console]::OutputEncoding = [System.Text.UTF8Encoding]::new($false)
        (& $global:__fnox_program @args --shell pwsh --shell-pid $PID) -join "`n"
    } finally {
        [Console]::OutputEncoding = $encoding
    }
}

function global:fnox {
    if ($args.Count -ne 1 -or $args[0] -ne 'deactivate') {
        if ($MyInvocation.ExpectingInput) { $input | & $global:__fnox_program @args } else { & $global:__fnox_program @args }
        return
    }
    if (Test-Path -LiteralPath $global:__fnox_program) {
        $script = __fnox_script deactivate
        if ($LASTEXITCODE -ne 0) { return }
    } else {
        $script = $global:__fnox_undo
    }
    if ($script) { Invoke-Expression $script }
    Remove-Item -LiteralPath Env:FNOX_SHELL, Env:__FNOX_SESSION -ErrorAction SilentlyContinue
    if (Test-Path Function:__fnox_prompt) {
        Copy-Item Function:__fnox_prompt Function:global:prompt
        Remove-Item Function:__fnox_prompt
    }
    Remove-Item Function:fnox, Function:__fnox_script -ErrorAction SilentlyContinue
    Remove-Item Function:__fnox_hook -ErrorAction SilentlyContinue
    Remove-Variable -Scope Global __fnox_program, __fnox_undo -ErrorAction SilentlyContinue
}
# @HOOK@

function global:__fnox_hook {
    if (-not (Test-Path -LiteralPath $global:__fnox_program)) { return }
    $status = $global:LASTEXITCODE
    $script = __fnox_script hook-env@FLAGS@
    if ($script) { Invoke-Expression $script }
    $global:LASTEXITCODE = $status
}

if (-not (Test-Path Function:__fnox_prompt)) {
    Copy-Item Function:prompt Function:global:__fnox_prompt
    function global:prompt {
        __fnox_hook
        __fnox_prompt
    }
}
# @END@

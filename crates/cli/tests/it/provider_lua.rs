//! Providers that are plugins in Lua, through the binary.

use crate::support::{fails, ok, sandbox};

const CONFIG: &str = r#"default_provider = "plugin"
[providers.plugin]
type = "lua"
plugin = "./plugins/shelf"
options = { token = { secret = "PLUGIN_TOKEN" }, port = 7 }

[providers.clear]
type = "plain"

[secrets]
PLUGIN_TOKEN = { provider = "clear", value = "tok-of-plugin", env = false }
A = { provider = "plugin", value = "a" }
B = { provider = "plugin", value = "b" }
"#;

#[test]
fn a_plugin_gives_values_and_is_opened_with_a_secret() {
    let sandbox = sandbox();
    let text = r#"return { get = function(ctx, reference)
        assert(ctx.options.token == "tok-of-plugin" and ctx.options.port == 7)
        return "value of " .. reference
    end }"#;
    sandbox.write_private("plugins/shelf/provider.lua", text);
    sandbox.write("fnox.toml", CONFIG);
    assert_eq!(ok(&sandbox, &["get", "A"]), "value of a\n");
    let run = sandbox.run(["exec", "--", "sh", "-c", "echo \"$A, $B, $PLUGIN_TOKEN\""]);
    assert_eq!(run.finish().succeeds().stdout, "value of a, value of b, \n");
    ok(&sandbox, &["provider", "test", "plugin"]);
    // It cannot store, and the value does not end up in the file.
    let run = sandbox.run(["set", "C"]).stdin("never-in-the-file");
    let run = run.finish().exits_with(3);
    assert!(run.stderr.contains("the plugin has no `put`"), "{run}");
    assert!(!sandbox.read("fnox.toml").contains("never-in-the-file"));
}

#[test]
fn errors_of_a_plugin_show_no_secret() {
    let sandbox = sandbox();
    sandbox.write("fnox.toml", CONFIG);
    for (body, code) in [
        ("error(ctx.options.token)", 6),
        ("error({ ctx.options.token })", 6),
        ("fnox.auth_error(\"not with \" .. ctx.options.token)", 4),
        ("fnox.cmd.run({ \"echo\", ctx.options.token })", 3),
        (
            "print(ctx.options.token) fnox.log.error(ctx.options.token) return 7",
            6,
        ),
        ("return fnox.json.decode(ctx.options.token)", 6),
    ] {
        let text = format!("return {{ get = function(ctx) {body} end }}");
        sandbox.write_private("plugins/shelf/provider.lua", text);
        let error = fails(&sandbox, code, &["get", "A"]);
        assert!(!error.contains("tok-of-plugin"), "{body}: {error}");
        let run = sandbox.run(["-v", "get", "A"]).finish().exits_with(code);
        assert!(!run.stderr.contains("tok-of-plugin"), "{body}: {run}");
        assert_eq!(run.stdout, "", "{body}");
    }
}

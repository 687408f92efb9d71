//! The provider `lua`, with the example plugin and with plugins that mean harm.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use fnox_config::spec::Capability;
use fnox_core::SecretString;
use fnox_providers::{ErrorKind, Provider, ProviderError};
use wiremock::matchers::{body_string, header, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::conformance::{Backend, Checked, check, check_as};
use crate::kinds;
use crate::world::{World, read, request};

const KEYS: &str = "type = \"lua\"\nplugin = \"./p.lua\"";

/// A world whose plugin is this text, and its provider.
fn plugin(text: &str) -> (World, Box<dyn Provider>) {
    plugin_with(text, "")
}

fn plugin_with(text: &str, options: &str) -> (World, Box<dyn Provider>) {
    let world = World::new();
    write(&world, "p.lua", text);
    let provider = world.open(&format!("{KEYS}\n{options}"));
    (world, provider)
}

/// A file that nobody else can write.
fn write(world: &World, name: &str, text: &str) {
    let path = world.write(name, text);
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(path, private).expect("the file is ours");
}

/// A plugin whose `get` is this.
fn getting(body: &str) -> String {
    format!("return {{ get = function(ctx, reference) {body} end }}")
}

async fn got(body: &str) -> Result<String, ProviderError> {
    let (_world, provider) = plugin(&getting(body));
    read(provider.as_ref(), "a").await
}

/// The same for what does not end by itself.
async fn got_in_time(body: &str) -> Result<String, ProviderError> {
    let mut world = World::new();
    world.time_limit = Duration::from_secs(2);
    write(&world, "p.lua", &getting(body));
    let provider = world.open(KEYS);
    read(provider.as_ref(), "a").await
}

#[tokio::test]
pub(crate) async fn the_example_does_what_every_backend_must() -> Checked<kinds::Lua> {
    let world = World::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/lua-provider");
    let text = std::fs::read_to_string(folder.join("provider.lua")).unwrap();
    write(&world, "shelf-plugin/provider.lua", &text);
    std::fs::create_dir(world.path("shelf")).unwrap();
    let provider = world.open(&format!(
        "type = \"lua\"\nplugin = \"./shelf-plugin\"\noptions = {{ folder = \"{}\" }}",
        world.path("shelf").display()
    ));
    let checked = check(&Backend {
        kind: kinds::Lua,
        provider: provider.as_ref(),
        existing: Vec::new(),
        state: &|| format!("{:?}", world.snapshot()).into_bytes(),
    })
    .await;
    let provider = world.open("type = \"lua\"\nplugin = \"./shelf-plugin\"");
    let error = provider.check().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Misconfigured, "{error}");
    checked
}

#[tokio::test]
async fn a_plugin_may_encrypt_or_only_read() {
    let text = r#"
        local function turned(text) return (text:reverse()) end
        return {
          encrypt = function(ctx, value) return "v1:" .. fnox.base64.encode(turned(value)) end,
          get = function(ctx, stored) return turned(fnox.base64.decode(stored:sub(4))) end,
        }"#;
    let (world, provider) = plugin_with(text, "capability = \"encrypt\"");
    let backend = Backend {
        kind: kinds::Lua,
        provider: provider.as_ref(),
        existing: Vec::new(),
        state: &|| format!("{:?}", world.snapshot()).into_bytes(),
    };
    check_as(&backend, Capability::EncryptsInConfig).await;
    let remedy = provider.put("a", &SecretString::from("v")).await;
    let remedy = remedy.unwrap_err().remedy.unwrap();
    assert!(remedy.contains("capability = \"encrypt\""), "{remedy}");
    let (world, provider) = plugin_with(
        &getting("return ({ one = \"1\", two = \"\" })[reference]"),
        "capability = \"read\"",
    );
    let existing = [("one", "1"), ("two", "")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    let backend = Backend {
        kind: kinds::Lua,
        provider: provider.as_ref(),
        existing: existing.into(),
        state: &|| format!("{:?}", world.snapshot()).into_bytes(),
    };
    check_as(&backend, Capability::ReadsOnly).await;
}

#[tokio::test]
async fn a_batch_is_one_call_of_get_batch() {
    let text = r#"
        local calls = 0
        return {
          get = function() error("not this one") end,
          get_batch = function(ctx, references)
            calls = calls + 1
            local out = {}
            for _, reference in ipairs(references) do
              if reference ~= "gone" then out[reference] = calls .. reference end
            end
            return out
          end,
        }"#;
    let (_world, provider) = plugin(text);
    let answers = provider
        .get_many(&["b", "a", "gone", "b"].map(request))
        .await;
    let shown: Vec<String> = answers
        .iter()
        .map(|answer| match answer {
            Ok(value) => value.expose_secret().to_owned(),
            Err(error) => format!("{:?}", error.kind),
        })
        .collect();
    assert_eq!(shown, ["1b", "1a", "NotFound", "1b"]);
}

#[tokio::test]
async fn nothing_leads_out_of_the_sandbox() {
    for name in [
        "io",
        "os",
        "debug",
        "package",
        "coroutine",
        "load",
        "loadfile",
        "dofile",
        "collectgarbage",
        "warn",
        "string.dump",
        "getfenv",
        "loadstring",
    ] {
        let kind = got(&format!("return type({name})")).await.unwrap();
        assert_eq!(kind, "nil", "{name}");
    }
    for body in [
        "return require(\"io\").open(\"/etc/passwd\"):read()",
        "return require(\"fnox.os\").getenv(\"HOME\")",
        "return (\"x\").dump(print)",
        "return getmetatable(\"\").__index.dump(print)",
        "return setmetatable({}, { __gc = function() end })",
        "for name, value in pairs(_G) do if name == \"io\" then return \"found\" end end",
    ] {
        let outcome = got(body).await;
        assert!(outcome.is_err(), "{body}: {outcome:?}");
    }
    // Bytecode of Lua 5.4 begins so.
    let (_world, provider) = plugin("\u{1b}LuaT\u{0}\u{19}");
    let error = read(provider.as_ref(), "a").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Misconfigured, "{error}");
}

#[tokio::test]
async fn what_does_not_end_is_ended() {
    for body in [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "while true do xpcall(function() while true do end end, function() while true do end end) end",
        "local function f() return f() end return f()",
        "for i = 1, math.huge do local x <close> = setmetatable({}, { __close = function() while true do end end }) end",
        "local t = setmetatable({}, { __index = function(t, k) return t[k .. \"x\"] end }) while true do pcall(function() return t.x end) end",
        "table.sort({ 1, 2, 3 }, function() while true do end end)",
        // One call of C, for half a minute: nothing ends it, so it is left behind.
        "return ((\"a\"):rep(2500)):find(\"^.-.-.-b\")",
    ] {
        let error = got_in_time(body).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable, "{body}: {error}");
        assert!(
            error.message.contains("ended") || error.message.contains("memory"),
            "{body}: {error}"
        );
    }
}

#[tokio::test]
async fn what_grows_without_end_is_ended() {
    for body in [
        "local t = {} for i = 1, math.huge do t[i] = {} end",
        "local s = \"x\" while true do s = s .. s end",
        "return (\"x\"):rep(1 << 40)",
        "return (\"\"):rep(math.maxinteger)",
        "return (\"\"):rep(\"9223372036854775807\")",
        "return table.move({}, \"1\", \"9223372036854775806\", 2)",
        "return table.move({}, 1, math.maxinteger - 1, 2)",
        "local function f(n) return 1 + f(n + 1) end return f(1)",
        "local t = {} for i = 1, 1e6 do t = { t } end return fnox.json.encode(t)",
    ] {
        let error = got(body).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable, "{body}: {error}");
    }
}

#[tokio::test]
async fn errors_have_kinds_and_show_no_secret() {
    for (call, kind) in [
        ("fnox.auth_error", ErrorKind::AuthenticationNeeded),
        ("fnox.denied_error", ErrorKind::Denied),
        ("fnox.unavailable_error", ErrorKind::Unavailable),
        ("fnox.invalid_error", ErrorKind::Misconfigured),
        ("error", ErrorKind::Unavailable),
    ] {
        let body = format!("{call}(\"no \" .. ctx.options.token .. \"\\27[2J here\")");
        let text = getting(&body).replace(
            "return {",
            "return { put = function(ctx, key, value) error(value) end,",
        );
        let mut world = World::new();
        world.time_limit = Duration::from_secs(10);
        write(&world, "p.lua", &text);
        let config = format!("{KEYS}\noptions = {{ token = \"opt-word\" }}");
        let provider = world.open(&config);
        let error = read(provider.as_ref(), "a").await.unwrap_err();
        assert_eq!(error.kind, kind, "{call}: {error}");
        assert!(!error.message.contains('\u{1b}'), "{call}: {error}");
        let value = SecretString::from("put-secret");
        let error = provider.put("a", &value).await.unwrap_err();
        assert!(!error.to_string().contains("put-secret"), "{error}");
        assert!(!format!("{provider:?}").contains("put-secret"));
    }
}

#[tokio::test]
async fn what_a_plugin_returns_must_be_a_value() {
    for (body, kind) in [
        ("return nil", ErrorKind::NotFound),
        ("return 7", ErrorKind::Unavailable),
        ("return {}", ErrorKind::Unavailable),
        ("return \"\\xff\"", ErrorKind::Misconfigured),
    ] {
        let error = got(body).await.unwrap_err();
        assert_eq!(error.kind, kind, "{body}: {error}");
    }
    for text in [
        "",
        "return 7",
        "return {}",
        "return { get = 7 }",
        "rubbish(",
    ] {
        let (_world, provider) = plugin(text);
        let error = read(provider.as_ref(), "a").await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Misconfigured, "{text}: {error}");
        assert!(provider.check().await.is_err(), "{text}");
    }
}

#[tokio::test]
async fn the_modules_do_what_they_say() {
    for body in [
        "local t = fnox.json.decode('{\"a\":[1,2.5,\"x\",true,null],\"b\":{}}')
         return tostring(t.a[1] == 1 and t.a[2] == 2.5 and t.a[3] == \"x\" and t.a[4] and t.a[5] == fnox.json.null and next(t.b) == nil)",
        "local t = fnox.json.decode(fnox.json.encode({ list = { 1, \"ü\" }, flag = false, none = fnox.json.null }))
         return tostring(t.list[2] == \"ü\" and t.flag == false and t.none == fnox.json.null)",
        "return tostring(fnox.base64.decode(fnox.base64.encode(\"\\0\\255x\")) == \"\\0\\255x\")",
        "return tostring(require(\"fnox\").json == require \"fnox.json\")",
        "return tostring(not pcall(fnox.json.decode, \"{\") and not pcall(fnox.json.encode, { 1, x = 2 }))",
        "return tostring(fnox.cmd.run({ \"cat\" }, { stdin = \"a\\nb\" }) == \"a\\nb\")",
        "local r = fnox.cmd.exec({ \"sh\", \"-c\", \"echo $X; echo e >&2; exit 3\" }, { env = { X = \"y\" } })
         return tostring(r.status == 3 and not r.ok and r.stdout == \"y\\n\" and r.stderr == \"e\")",
        "return tostring(fnox.cmd.run(\"printf %s x\") == \"x\")",
        "return tostring(select(2, pcall(error, { code = 7 })).code == 7)",
        "return tostring(ctx.provider == \"p\" and #ctx.plugin_dir > 0 and #fnox.version > 0)",
    ] {
        assert_eq!(got(body).await.unwrap(), "true", "{body}");
    }
    let error = got("fnox.cmd.run({ \"no-such-program\" })")
        .await
        .unwrap_err();
    assert!(
        error.message.contains("`no-such-program` is not on PATH"),
        "{error}"
    );
    let error = got("fnox.cmd.run({ \"false\" })").await.unwrap_err();
    assert!(error.message.contains("`false` failed"), "{error}");
}

#[tokio::test]
async fn a_secret_is_no_argument_of_a_program() {
    let text = r#"return {
        get = function() end,
        put = function(ctx, key, value) fnox.cmd.run({ "echo", "x" .. value }) end,
    }"#;
    let (_world, provider) = plugin(text);
    let error = provider.put("a", &SecretString::from("put-secret")).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Misconfigured);
    assert!(error.message.contains("on a command line"), "{error}");
}

#[tokio::test]
async fn programs_of_a_plugin_end_with_its_time() {
    let error = got_in_time("fnox.cmd.run({ \"sleep\", \"600\" })")
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
}

#[tokio::test]
async fn calls_over_http_go_out_and_come_back() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/v1/a"))
        .and(header("authorization", "Bearer t1"))
        .and(query_param("q", "x y"))
        .respond_with(ResponseTemplate::new(200).set_body_string("{\"value\":\"v1\"}"))
        .mount(&server)
        .await;
    Mock::given(method("POST"))
        .and(path("/v1"))
        .and(body_string("body"))
        .respond_with(ResponseTemplate::new(201).insert_header("x-id", "7"))
        .mount(&server)
        .await;
    let body = r#"
        local url = ctx.options.url
        local posted = fnox.http.post(url .. "/v1", "body")
        assert(posted.status == 201 and posted.ok and posted.headers["x-id"] == "7")
        local missing = fnox.http.get(url .. "/none")
        assert(missing.status == 404 and not missing.ok)
        local answer = fnox.http.request{
          url = url .. "/v1/" .. reference,
          headers = { Authorization = "Bearer t1" },
          query = { q = "x y" },
          timeout = 1.5,
        }
        return fnox.json.decode(answer.body).value"#;
    let options = format!("options = {{ url = \"{}\" }}", server.uri());
    let (_world, provider) = plugin_with(&getting(body), &options);
    assert_eq!(read(provider.as_ref(), "a").await.unwrap(), "v1");
    for url in [
        "http://example.com/",
        "file:///etc/passwd",
        "https://u:p@127.0.0.1/",
        "x",
    ] {
        let error = got(&format!("fnox.http.get(\"{url}\")")).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Misconfigured, "{url}: {error}");
    }
}

#[test]
fn a_plugin_is_a_file_that_the_configuration_names() {
    let world = World::new();
    let text = getting("return \"x\"");
    write(&world, ".config/fnox/plugins/named/provider.lua", &text);
    write(&world, "folder/provider.lua", &text);
    write(&world, "file.lua", &text);
    for name in ["named", "./folder", "~/folder", "file.lua", "./file.lua"] {
        world.open(&format!("type = \"lua\"\nplugin = \"{name}\""));
    }
    for (name, reason) in [
        ("absent", "there is no plugin `absent`"),
        ("./absent", "there is no plugin at `"),
        ("absent.lua", "there is no plugin at `"),
        ("a b", "cannot be `a b`"),
        ("", "must not be empty"),
    ] {
        let keys = format!("type = \"lua\"\nplugin = \"{name}\"");
        let error = world.try_open(&keys).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Misconfigured, "{name}");
        assert!(error.message.contains(reason), "{name}: {error}");
    }
    let everybody = std::fs::Permissions::from_mode(0o666);
    std::fs::set_permissions(world.path("file.lua"), everybody).unwrap();
    let keys = "type = \"lua\"\nplugin = \"file.lua\"";
    let error = world.try_open(keys).unwrap_err();
    assert!(error.message.contains("cannot be read"), "{error}");
}

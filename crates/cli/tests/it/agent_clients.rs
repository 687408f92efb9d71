//! Programs of others behind the gateway: they reach what asks for a credential, and never hold it.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use fnox_testkit::stand_in::{ServerCertificate, TlsFront};
use fnox_testkit::{Run, Sandbox, services};
use serde_json::Value;

use crate::agent_support::{Project, VALUE};
use crate::lease_support::World;
use crate::support;

const SERVER: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/it/agent_clients/server.py"
);
const CLIENT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/it/agent_clients/client.py"
);

const FETCH: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/it/agent_clients/client.cjs"
);

/// A project that may reach servers in Python, each of which wants [`VALUE`].
struct Servers {
    sandbox: Sandbox,
    ports: Value,
    child: Child,
}

impl Servers {
    fn start() -> Self {
        let sandbox = support::sandbox();
        let files = ServerCertificate::write(sandbox.root());
        let mut child = Command::new(services::gateway_clients_python())
            .arg(SERVER)
            .args([&files.certificate, &files.key])
            .arg(VALUE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let servers = Self {
            sandbox,
            ports: serde_json::from_str(&line).expect("ports"),
            child,
        };
        let text = servers.configuration(&files.authority);
        servers.sandbox.write("fnox.toml", text);
        servers
    }

    fn configuration(&self, authority: &Path) -> String {
        let names = ["http", "websocket", "grpc"];
        let places: Vec<String> = names
            .iter()
            .map(|name| format!("\"127.0.0.1:{}\"", self.port(name)))
            .collect();
        let mut text = format!(
            "[secrets]\nTOKEN = {{ default = \"{VALUE}\" }}\n[proxy]\nallow_private = [{}]\n",
            places.join(", ")
        );
        for name in names {
            let port = self.port(name);
            let authority = authority.display();
            write!(
                text,
                "[[proxy.rules]]\nsecret = \"TOKEN\"\ndomain = \"localhost\"\nport = {port}\nca_file = \"{authority}\"\n"
            )
            .unwrap();
        }
        text
    }

    fn port(&self, name: &str) -> u64 {
        self.ports[name].as_u64().unwrap()
    }

    /// Runs a script as an agent, in which `$PORT` is the port of the server of that name, and `$PYTHON` has the clients.
    /// It must succeed, and see no value.
    #[track_caller]
    fn agent(&self, server: &str, script: &str) -> Run {
        let run = self
            .sandbox
            .run(["agent", "run", "--", "sh", "-euc", script])
            .env("PORT", self.port(server).to_string())
            .env("PYTHON", services::gateway_clients_python())
            .env("CLIENT", CLIENT)
            .finish()
            .succeeds();
        self.sandbox.assert_no_leak(VALUE, &[&run]);
        run
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "needs Python clients: ./scripts/test"]
fn requests_of_python() {
    let run = Servers::start().agent("http", "$PYTHON $CLIENT requests $PORT");
    assert_eq!(run.stdout, "done\n");
}

#[test]
#[ignore = "needs Python clients: ./scripts/test"]
fn websockets_of_python() {
    let run = Servers::start().agent("websocket", "$PYTHON $CLIENT websocket $PORT");
    assert_eq!(run.stdout, "done\n");
}

#[test]
#[ignore = "needs Python clients: ./scripts/test"]
fn grpc_of_python() {
    let run = Servers::start().agent("grpc", "$PYTHON $CLIENT grpc $PORT");
    assert_eq!(run.stdout, "done\n");
}

#[test]
#[ignore = "needs Python clients: ./scripts/test"]
fn pip_installs_from_an_index_with_a_password() {
    let run = Servers::start().agent(
        "http",
        "$PYTHON -m pip install --quiet --no-cache-dir --disable-pip-version-check --no-deps --target installed \
         --index-url https://reader:$TOKEN@localhost:$PORT/simple/ fnox-sample; \
         PYTHONPATH=installed $PYTHON -c 'import fnox_sample; print(fnox_sample.ANSWER)'",
    );
    assert_eq!(run.stdout, "42\n");
}

/// The push is longer than what git sends in one piece (`http.postBuffer`), so its body has chunks.
#[test]
#[ignore = "needs Python clients: ./scripts/test"]
fn git_clones_and_pushes() {
    let run = Servers::start().agent(
        "http",
        "export GIT_TERMINAL_PROMPT=0 GIT_CONFIG_GLOBAL=$PWD/gitconfig\n\
         git config --global user.name me; git config --global user.email me@example.com\n\
         place=localhost:$PORT/git/app.git\n\
         git clone --quiet https://reader:$TOKEN@$place first\n\
         cd first; head -c 3000000 /dev/urandom > large; echo hello > small; git add .; git commit --quiet -m Begin\n\
         git push --quiet origin HEAD:main; cd ..\n\
         git clone --quiet -b main https://reader:$TOKEN@$place second\n\
         cmp first/large second/large; cat second/small\n\
         if git ls-remote https://reader:wrong@$place 2>/dev/null; then echo let in; fi",
    );
    assert_eq!(run.stdout, "hello\n");
}

#[test]
#[ignore = "needs Python clients, Node.js and undici: ./scripts/test"]
fn fetch_of_node() {
    let script = format!(
        "NODE_PATH={} node {FETCH} $PORT",
        services::fetch_node_modules().display()
    );
    let run = Servers::start().agent("http", &script);
    assert_eq!(run.stdout, "done\n");
}

#[test]
#[ignore = "needs Python clients: ./scripts/test"]
fn requests_of_python_sign_in_and_never_hold_a_token() {
    let project = Project::new(
        "paths = [\"/oauth/*\"]\nusername = \"client\"\ninject = \"set\"\n\
         capture = [\"access_token\", \"refresh_token\"]",
    );
    project.upstream.register("client", VALUE);
    let run = project
        .agent("$PYTHON $CLIENT oauth $URL")
        .env("PYTHON", services::gateway_clients_python())
        .env("CLIENT", CLIENT)
        .finish()
        .succeeds();
    assert_eq!(run.stdout, "done\n");
    let tokens = project.upstream.issued_tokens();
    assert_eq!(tokens.len(), 8, "{tokens:?}");
    for token in &tokens {
        project.sandbox.assert_no_leak(token, &[&run]);
    }
}

#[test]
#[ignore = "needs Python clients, Node.js and npm: ./scripts/test"]
fn npm_installs_from_a_registry_with_a_token() {
    let run = Servers::start().agent(
        "http",
        "mkdir app; cd app; echo '{}' > package.json; \
         echo \"//localhost:$PORT/npm/:_authToken=$TOKEN\" > .npmrc; \
         npm install --silent --no-audit --no-fund --no-update-notifier --registry https://localhost:$PORT/npm/ fnox-sample >&2; \
         node -p 'require(\"fnox-sample\")'",
    );
    assert_eq!(run.stdout, "42\n");
}

/// In a sandbox, by the options that it gets there; its own program for certificates is what makes the request.
#[test]
#[ignore = "needs Java: ./scripts/test"]
fn java_uses_the_gateway_and_believes_it() {
    let project = Project::new("inject = \"set\"");
    let path = project.sandbox.project().join("fnox.toml");
    // Java names no host without a dot in its handshake.
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text.replace("domain = \"localhost\"", "domain = \"127.0.0.1\"");
    project.sandbox.write("fnox.toml", text);
    let port = project.upstream.port();
    let script = format!(
        "java sun.security.tools.keytool.Main -printcrl -file https://127.0.0.1:{port}/list || true"
    );
    let sandboxed = ["agent", "run", "--sandbox", "--", "sh", "-euc", &script];
    let run = project.sandbox.run(sandboxed).finish().succeeds();
    assert!(!format!("{run}").contains(VALUE), "{run}");
    let received = project.upstream.received();
    assert_eq!(received.len(), 1, "{run}");
    let expected = format!("Bearer {VALUE}");
    assert_eq!(received[0].header("authorization"), Some(expected.as_str()));
}

#[test]
#[ignore = "needs moto and Python clients: ./scripts/test"]
fn boto3_is_signed_anew_for_several_services() {
    let world = World::with_secrets();
    let moto = services::moto().url;
    let front = TlsFront::before(moto.trim_start_matches("http://"));
    let authority = front.write_authority(&world.sandbox.project());
    let port = front.port();
    world.configure(&format!(
        "{}{}[proxy]\nallow_private = [\"127.0.0.1:{port}\"]\n[[proxy.rules]]\nlease = \"aws\"\ndomain = \"localhost\"\n\
         port = {port}\nca_file = \"{}\"\ninject = \"aws-sigv4\"\n",
        world.secrets("alice"),
        world.lease("").replace(world.sts.url(), &moto),
        authority.display(),
    ));
    let run = world
        .sandbox
        .run([
            "agent",
            "run",
            "--",
            "sh",
            "-euc",
            "$PYTHON $CLIENT boto3 $MOTO; env",
        ])
        .env("PYTHON", services::gateway_clients_python())
        .env("CLIENT", CLIENT)
        .env("MOTO", format!("https://localhost:{port}"))
        .finish()
        .succeeds();
    assert!(run.stdout.contains(":assumed-role/"), "{}", run.stdout);
    assert!(!run.stdout.contains("ASIA"), "{}", run.stdout);
}

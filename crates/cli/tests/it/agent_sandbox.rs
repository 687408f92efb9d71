//! `fnox agent run --sandbox`: what a program in it can reach.

use std::fs;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};

use fnox_testkit::Invocation;

use crate::agent_support::{Project, VALUE};

impl Project {
    fn sandboxed(&self, script: &str) -> Invocation {
        let run = ["agent", "run", "--sandbox", "--", "sh", "-euc", script];
        self.sandbox.run(run).env("URL", self.upstream.url(""))
    }
}

/// What a program can connect to: a port, and the name of a socket that stands in no file system (unix(7)).
const REACH: &str = "\
import socket, sys
def reach(what, family, address):
    try: socket.socket(family).connect(address)
    except OSError: print(what, 'gone')
    else: print(what, 'there')
reach('port', socket.AF_INET, ('127.0.0.1', int(sys.argv[1])))
reach('name', socket.AF_UNIX, '\\0' + sys.argv[2])
";

#[test]
fn the_gateway_is_the_only_way_out() {
    let project = Project::new("");
    let port = project.upstream.port();
    let name = format!("fnox-test-{}-{port}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = UnixListener::bind_addr(&address).unwrap();
    project.sandbox.write("reach.py", REACH);
    let reach = format!("python3 reach.py {port} {name}");
    assert_eq!(project.prints(&reach), "port there\nname there\n");
    let script = format!(
        "curl -fsS -o answer -H \"Authorization: Bearer $TOKEN\" $URL/a; \
         curl -sS --noproxy '*' -k $URL/direct && exit 9; \
         {reach}; tail -n +3 /proc/net/dev | cut -d: -f1"
    );
    let run = project.sandboxed(&script).finish().succeeds();
    let lines: Vec<&str> = run.stdout.lines().map(str::trim).collect();
    assert_eq!(lines, ["port gone", "name gone", "lo"]);
    let received = project.upstream.received();
    assert_eq!(received.len(), 1);
    let authorization = format!("Bearer {VALUE}");
    assert_eq!(
        received[0].header("authorization"),
        Some(authorization.as_str())
    );
}

#[test]
fn it_has_users_mounts_processes_and_a_network_of_its_own() {
    let project = Project::new("");
    let script = "for kind in user mnt pid ipc net; do readlink /proc/self/ns/$kind; done";
    let run = project.sandboxed(script).finish().succeeds();
    let inside: Vec<&str> = run.stdout.lines().collect();
    assert_eq!(inside.len(), 5, "{run}");
    for (kind, inside) in ["user", "mnt", "pid", "ipc", "net"].iter().zip(inside) {
        let outside = fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
        assert!(inside.starts_with(&format!("{kind}:[")), "{inside}");
        assert_ne!(inside, outside.to_str().unwrap());
    }
}

#[test]
fn a_socket_of_somebody_else_is_not_there_unless_it_is_named() {
    for (key, said) in [
        ("", "gone"),
        ("sandbox_allow_read = [\"named.sock\"]", "there"),
    ] {
        let project = Project::with(key, "");
        let path = project.sandbox.project().join("named.sock");
        let _listener = UnixListener::bind(&path).unwrap();
        project.sandbox.write(
            "connect.py",
            "import socket\n\
             try: socket.socket(socket.AF_UNIX).connect('named.sock')\n\
             except OSError: print('gone')\n\
             else: print('there')\n",
        );
        let run = project.sandboxed("python3 connect.py").finish().succeeds();
        assert_eq!(run.stdout.trim(), said);
    }
}

/// What acts on the whole machine; root in a sandbox is the machine's root to a file of root's.
#[test]
fn nothing_of_the_machine_is_written_and_what_was_open_is_not_passed_on() {
    let project = Project::new("");
    project.sandbox.write("outside/key", "planted-secret");
    let script = "cat <&9 2>/dev/null && exit 9; \
                  same=$(cat /proc/sys/vm/swappiness); \
                  (echo $same > /proc/sys/vm/swappiness) 2>/dev/null && exit 9; \
                  grep CapEff /proc/self/status | cut -f2";
    let program = env!("CARGO_BIN_EXE_fnox");
    let line = "exec 9< outside/key; exec \"$0\" agent run --sandbox -- sh -uc \"$1\"";
    let run = project
        .sandbox
        .run_program("sh", ["-euc", line, program, script])
        .env("URL", project.upstream.url(""))
        .finish()
        .succeeds();
    assert_eq!(run.stdout.trim(), "0000000000000000");
}

#[test]
fn secrets_of_the_home_folder_are_not_there_and_only_the_project_is_written_to() {
    let project = Project::with("sandbox_deny_read = [\"private\"]", "");
    let home = project.sandbox.home();
    fs::create_dir_all(home.join(".aws")).unwrap();
    fs::write(home.join(".aws/credentials"), "planted-secret").unwrap();
    fs::write(home.join(".netrc"), "planted-secret").unwrap();
    project.sandbox.write("private/key", "planted-secret");
    project
        .sandbox
        .write("fnox.local.toml", "# planted-secret\n");
    project.sandbox.write("notes", "mine");
    let run = project
        .sandboxed(
            "cat ~/.aws/credentials ~/.netrc private/key fnox.local.toml 2>/dev/null || true; cat notes; \
             echo changed > notes; touch new; \
             echo x >> fnox.toml && exit 9; touch /usr/x && exit 9; touch ~/x || true; \
             ls /proc | grep -c '^[0-9]' > processes; true",
        )
        .finish()
        .succeeds();
    assert_eq!(run.stdout, "mine");
    assert_eq!(project.sandbox.read("notes"), "changed\n");
    assert!(!home.join("x").exists());
    let processes: usize = project.sandbox.read("processes").trim().parse().unwrap();
    assert!(
        processes < 12,
        "it sees its own processes alone: {processes}"
    );
}

#[test]
fn it_ends_as_the_program_does() {
    let project = Project::new("");
    project.sandboxed("exit 7").finish().exits_with(7);
    project.sandboxed("kill -TERM $$").finish().exits_with(143);
}

#[test]
fn without_bubblewrap_nothing_runs() {
    let project = Project::with("sandbox = true", "");
    let run = project
        .sandbox
        .run(["agent", "run", "--", "/bin/touch", "ran"])
        .env("PATH", "/nowhere")
        .finish()
        .exits_with(1);
    assert!(run.stderr.contains("install bubblewrap"), "{}", run.stderr);
    assert!(!project.sandbox.project().join("ran").exists());
    project
        .sandbox
        .run(["agent", "run", "--no-sandbox", "--", "/bin/touch", "ran"])
        .env("PATH", "/nowhere")
        .finish()
        .succeeds();
}

#[test]
fn a_home_folder_is_no_project() {
    let project = Project::new("");
    let text = project.sandbox.read("fnox.toml");
    fs::write(project.sandbox.home().join("fnox.toml"), text).unwrap();
    let run = project
        .sandbox
        .run(["agent", "run", "--sandbox", "--", "true"])
        .within(project.sandbox.home())
        .finish()
        .exits_with(1);
    assert!(run.stderr.contains("home folder"), "{}", run.stderr);
}

/// System calls by their numbers, and what the kernel says. Without the filter it would say something else to each.
#[cfg(target_arch = "x86_64")]
#[test]
fn calls_that_no_program_in_a_sandbox_needs_are_refused() {
    let project = Project::new("");
    project.sandbox.write(
        "calls.py",
        "import ctypes, errno, fcntl, os, socket\n\
         libc = ctypes.CDLL(None, use_errno=True)\n\
         calls = dict(ptrace=101, process_vm_readv=310, process_vm_writev=311, pidfd_getfd=438, keyctl=250, add_key=248,\n\
         \x20   request_key=249, bpf=321, perf_event_open=298, userfaultfd=323, io_uring_setup=425, mount=165, umount2=166,\n\
         \x20   fsopen=430, open_tree=428, setns=308, kexec_load=246, finit_module=313, ptrace_of_x32=101 | 0x40000000)\n\
         for name, number in calls.items():\n\
         \x20   ctypes.set_errno(0)\n\
         \x20   answer = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(0)] * 6)\n\
         \x20   assert (answer, ctypes.get_errno()) == (-1, errno.EPERM), (name, answer, ctypes.get_errno())\n\
         for family in (17, 38, 40):\n\
         \x20   try: socket.socket(family, socket.SOCK_STREAM if family == 40 else socket.SOCK_RAW)\n\
         \x20   except OSError as error: assert error.errno == errno.EAFNOSUPPORT, (family, error)\n\
         \x20   else: raise SystemExit(f'a socket of family {family}')\n\
         near, far = os.openpty()\n\
         for request in (0x5412, 0x541c):\n\
         \x20   try: fcntl.ioctl(far, request, b'x')\n\
         \x20   except PermissionError: continue\n\
         \x20   raise SystemExit('typed')\n\
         print('all refused')\n",
    );
    let run = project.sandboxed("python3 calls.py").finish().succeeds();
    assert_eq!(run.stdout, "all refused\n");
    assert!(!run.stderr.contains("this kernel"), "{run}");
}

#[test]
fn only_the_project_is_written_to_also_where_a_mount_would_let_it() {
    let project = Project::new("");
    let cache = project.sandbox.root().join("cache");
    fs::create_dir_all(&cache).unwrap();
    let keys = format!(
        "[proxy]\nsandbox_allow_write = [\"{}\"]\nsandbox_deny_read = [\"/var/log\"]\n",
        cache.display()
    );
    let text = project.sandbox.read("fnox.toml");
    project
        .sandbox
        .write("fnox.toml", text.replace("[proxy]\n", &keys));
    // What is hidden is an empty file system of the sandbox's own, which has to stay empty.
    let run = project.sandboxed(
        "touch /var/log/x 2> refused && exit 9; grep -q 'Permission denied' refused; \
         touch here \"$CACHE/there\" /tmp/x /dev/shm/x; mkdir -p a/b; mv here a/b; echo out > /dev/stdout; echo > /dev/null",
    );
    let run = run.env("CACHE", &cache).env("LC_ALL", "C").finish();
    assert_eq!(run.succeeds().stdout, "out\n");
    assert!(project.sandbox.project().join("a/b/here").exists());
    assert!(cache.join("there").exists());
}

#[test]
fn tools_work_as_they_do_elsewhere() {
    let project = Project::new("");
    let script = "git init -q r; cd r; echo a > a; git add a; \
                  git -c user.name=x -c user.email=x@example.com commit -q -m a; git log --format=%s; git gc -q; \
                  python3 -c 'import subprocess, threading, tempfile, multiprocessing as m; \
                  t = threading.Thread(target=print, args=[1]); t.start(); t.join(); tempfile.mkdtemp(); m.Lock(); \
                  print(subprocess.run([\"echo\", \"2\"], capture_output=True).stdout.decode().strip())'; \
                  if command -v node > /dev/null; then \
                  node -e 'require(\"fs\").writeFileSync(\"n\", \"3\"); require(\"child_process\").execSync(\"true\"); \
                  require(\"fs\").promises.readFile(\"n\", \"utf8\").then(t => console.log(t))'; else echo 3; fi";
    let run = project.sandboxed(script).finish().succeeds();
    assert_eq!(run.stdout, "a\n1\n2\n3\n");
}

//! One suite for every transport.

use std::path::{Path, PathBuf};

use fnox_vault_wire::frame::{FrameError, FrameReader, FrameWriter, MAX_FRAME};
use fnox_vault_wire::hello::{ClientHello, ServerHello};
use fnox_vault_wire::transport::{
    Connector, HostSocketListener, ListenError, Listener, Peer, ReadHalf, Stream, TcpListener,
    UnixListener, UnixOptions, WriteHalf,
};
use serde_json::value::RawValue;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::mpsc;

/// How a connection ended, as the server sees it.
type End = Result<usize, FrameError>;

/// A server that answers the hello and gives every frame back.
struct Echo {
    peers: mpsc::UnboundedReceiver<Peer>,
    ends: mpsc::UnboundedReceiver<End>,
    task: tokio::task::JoinHandle<()>,
}

impl Echo {
    fn start(listener: Listener) -> Self {
        let (peer_sender, peers) = mpsc::unbounded_channel();
        let (end_sender, ends) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            loop {
                let (stream, peer) = listener.accept().await.unwrap();
                peer_sender.send(peer).unwrap();
                let ends = end_sender.clone();
                tokio::spawn(async move { ends.send(echo(stream).await) });
            }
        });
        Self { peers, ends, task }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn echo(stream: Stream) -> End {
    let (read, write) = stream.into_split();
    let mut reader = FrameReader::new(read, 4096);
    let mut writer = FrameWriter::new(write);
    let Some(hello) = reader.next().await? else {
        return Ok(0);
    };
    let hello = ClientHello::parse(hello).unwrap();
    writer
        .write(&ServerHello::accepting(&hello.protocol))
        .await?;
    reader.set_limit(MAX_FRAME);
    let mut count = 0;
    while let Some(frame) = reader.next().await? {
        writer
            .write(&serde_json::from_slice::<&RawValue>(frame).unwrap())
            .await?;
        count += 1;
    }
    Ok(count)
}

async fn greeted(connector: &Connector) -> (FrameReader<ReadHalf>, FrameWriter<WriteHalf>) {
    let (read, write) = connector.connect().await.unwrap().into_split();
    let mut reader = FrameReader::new(read, MAX_FRAME);
    let mut writer = FrameWriter::new(write);
    writer.write(&ClientHello::new(None)).await.unwrap();
    let hello = ServerHello::parse(reader.next().await.unwrap().unwrap()).unwrap();
    assert_eq!(hello, ServerHello::accepting("fnox-vault"));
    (reader, writer)
}

/// What every transport must do.
async fn suite(listener: Listener, connector: Connector, is_expected: impl Fn(&Peer) -> bool) {
    let mut echo = Echo::start(listener);

    // A hello, a frame, a clean end; the peer is who it should be.
    let (mut reader, mut writer) = greeted(&connector).await;
    writer.write(&"hello").await.unwrap();
    assert_eq!(reader.next().await.unwrap(), Some(&b"\"hello\""[..]));
    drop((reader, writer));
    let peer = echo.peers.recv().await.unwrap();
    assert!(is_expected(&peer), "{peer:?}");
    assert!(matches!(echo.ends.recv().await, Some(Ok(1))));

    byte_by_byte(&connector).await;
    assert!(matches!(echo.ends.recv().await, Some(Ok(1))));
    pipelined(&connector).await;
    assert!(matches!(echo.ends.recv().await, Some(Ok(1000))));
    large(&connector).await;
    assert!(matches!(echo.ends.recv().await, Some(Ok(3))));

    // Halves of frames are errors, of a header as of a payload.
    for half in [&b"\0\0"[..], b"\0\0\0\x05\"ab"] {
        let (_reader, writer) = greeted(&connector).await;
        let mut stream = writer.into_inner();
        stream.write_all(half).await.unwrap();
        stream.shutdown().await.unwrap();
        let end = echo.ends.recv().await.unwrap();
        assert!(matches!(end, Err(FrameError::Truncated)), "{end:?}");
    }

    // A frame over the limit ends the connection, a large one before the hello too.
    let (mut reader, writer) = greeted(&connector).await;
    let mut stream = writer.into_inner();
    stream
        .write_all(&0x0010_0001_u32.to_be_bytes())
        .await
        .unwrap();
    let end = echo.ends.recv().await.unwrap();
    assert!(matches!(end, Err(FrameError::TooLarge { .. })), "{end:?}");
    assert!(!matches!(reader.next().await, Ok(Some(_))));
    let mut stream = connector.connect().await.unwrap();
    stream.write_all(&4097_u32.to_be_bytes()).await.unwrap();
    let end = echo.ends.recv().await.unwrap();
    assert!(
        matches!(end, Err(FrameError::TooLarge { limit: 4096, .. })),
        "{end:?}"
    );
}

async fn byte_by_byte(connector: &Connector) {
    let mut stream = connector.connect().await.unwrap();
    let mut bytes = Vec::new();
    fnox_vault_wire::frame::encode_into(&mut bytes, &ClientHello::new(None)).unwrap();
    fnox_vault_wire::frame::encode_into(&mut bytes, &"slowly").unwrap();
    for byte in bytes {
        stream.write_all(&[byte]).await.unwrap();
        stream.flush().await.unwrap();
    }
    let mut reader = FrameReader::new(&mut stream, MAX_FRAME);
    assert!(
        ServerHello::parse(reader.next().await.unwrap().unwrap())
            .unwrap()
            .ok
    );
    assert_eq!(reader.next().await.unwrap(), Some(&b"\"slowly\""[..]));
}

async fn pipelined(connector: &Connector) {
    let (mut reader, mut writer) = greeted(connector).await;
    for number in 0..1000 {
        writer.queue(&number).unwrap();
    }
    let (sent, ()) = tokio::join!(writer.flush(), async {
        for number in 0..1000 {
            let frame = reader.next().await.unwrap().unwrap();
            assert_eq!(serde_json::from_slice::<i32>(frame).unwrap(), number);
        }
    });
    sent.unwrap();
}

async fn large(connector: &Connector) {
    let (mut reader, mut writer) = greeted(connector).await;
    let text = "x".repeat(MAX_FRAME - 2);
    for _ in 0..3 {
        let (sent, read) = tokio::join!(writer.write(&text), reader.next());
        sent.unwrap();
        let frame = read.unwrap().unwrap();
        assert_eq!(frame.len(), MAX_FRAME);
        assert!(frame[1..MAX_FRAME - 1].iter().all(|byte| *byte == b'x'));
    }
}

#[tokio::test]
async fn over_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault.sock");
    let listener = UnixListener::bind(&path, &UnixOptions::default()).unwrap();
    let own = i32::try_from(std::process::id()).unwrap();
    suite(
        listener.into(),
        Connector::Unix(path),
        |peer| matches!(peer, Peer::Unix { pid, .. } if *pid == Some(own)),
    )
    .await;
}

#[tokio::test]
async fn over_tcp() {
    let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap())
        .await
        .unwrap();
    let address = listener.local_addr();
    assert_eq!(listener.to_string(), format!("tcp:{address}"));
    suite(
        listener.into(),
        Connector::Tcp(address),
        |peer| matches!(peer, Peer::Tcp { address } if address.ip().is_loopback()),
    )
    .await;
}

#[tokio::test]
async fn tcp_does_not_wait_to_fill_packets() {
    let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap())
        .await
        .unwrap();
    let connector = Connector::Tcp(listener.local_addr());
    let (connected, accepted) = tokio::join!(connector.connect(), listener.accept());
    for stream in [connected.unwrap(), accepted.unwrap().0] {
        assert!(matches!(stream, Stream::Tcp(stream) if stream.nodelay().unwrap()));
    }
}

#[tokio::test]
async fn tcp_listens_for_this_machine_only() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let address = address.parse().unwrap();
        let refused = TcpListener::bind(address).await.unwrap_err();
        assert!(
            matches!(refused, ListenError::NotLoopback { .. }),
            "{refused}"
        );
    }
}

/// What Firecracker does for the host: takes `CONNECT PORT`, and joins the two sides.
async fn monitor(socket: tokio::net::UnixListener, path: PathBuf) {
    loop {
        let (host, _) = socket.accept().await.unwrap();
        let path = path.clone();
        tokio::spawn(async move {
            let mut host = BufReader::new(host);
            let mut line = String::new();
            host.read_line(&mut line).await.unwrap();
            let port = line.trim().strip_prefix("CONNECT ").unwrap().to_owned();
            let guest = format!("{}_{port}", path.display());
            let Ok(mut guest) = tokio::net::UnixStream::connect(guest).await else {
                return;
            };
            // The guest's bytes may follow in the same write.
            host.write_all(b"OK 1073741824\n").await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut host, &mut guest).await;
        });
    }
}

fn host_socket(folder: &Path) -> (PathBuf, Listener, tokio::task::JoinHandle<()>) {
    let path = folder.join("v.sock");
    let socket = tokio::net::UnixListener::bind(&path).unwrap();
    let monitor = tokio::spawn(monitor(socket, path.clone()));
    let listener = HostSocketListener::bind(&path, 9100, &UnixOptions::default()).unwrap();
    (path, listener.into(), monitor)
}

#[tokio::test]
async fn over_a_monitors_socket() {
    let folder = tempfile::tempdir().unwrap();
    let (path, listener, monitor) = host_socket(folder.path());
    let connector = Connector::HostSocket {
        path: path.clone(),
        port: 9100,
    };
    assert_eq!(listener.to_string(), connector.to_string());
    suite(listener, connector, |peer| {
        *peer == Peer::HostSocket { path: path.clone() }
    })
    .await;
    monitor.abort();
}

#[tokio::test]
async fn from_a_guest_through_its_monitor() {
    let folder = tempfile::tempdir().unwrap();
    let (path, listener, monitor) = host_socket(folder.path());
    // A connection of the guest is passed on as it is.
    let connector = Connector::Unix(format!("{}_9100", path.display()).into());
    suite(listener, connector, |peer| {
        *peer == Peer::HostSocket { path: path.clone() }
    })
    .await;
    monitor.abort();
}

#[tokio::test]
async fn a_port_on_which_the_guest_does_not_listen_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _listener, monitor) = host_socket(folder.path());
    let connector = Connector::HostSocket { path, port: 9101 };
    let refused = connector.connect().await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    monitor.abort();
}

#[tokio::test]
async fn nothing_is_read_past_the_monitors_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("v.sock");
    let socket = tokio::net::UnixListener::bind(&path).unwrap();
    let connector = Connector::HostSocket { path, port: 7 };
    for (answer, rest) in [
        ("OK 5\nafter", Some("after")),
        ("OK \n", None),
        ("NO 5\n", None),
        ("OK 5x\n", None),
        ("OK 55555555555555555555555555555555555\n", None),
    ] {
        let (connected, ()) = tokio::join!(connector.connect(), async {
            let (mut host, _) = socket.accept().await.unwrap();
            let mut line = [0; 10];
            host.read_exact(&mut line).await.unwrap();
            assert_eq!(&line, b"CONNECT 7\n");
            host.write_all(answer.as_bytes()).await.unwrap();
        });
        match rest {
            Some(rest) => {
                let mut text = String::new();
                connected.unwrap().read_to_string(&mut text).await.unwrap();
                assert_eq!(text, rest);
            }
            None => drop(connected.unwrap_err()),
        }
    }
}

/// Past the test harness, which keeps what is printed to itself.
pub(crate) fn left_out(what: &str) {
    use std::io::Write as _;
    use std::sync::atomic::{AtomicUsize, Ordering};

    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
    writeln!(std::io::stderr(), "left out: {what} [{count}]").unwrap();
}

/// Whether the kernel carries vsock connections from the machine to itself. Without that module a connection
/// to CID 1 would go to whoever runs this machine, so it is not tried.
#[cfg(target_os = "linux")]
fn has_vsock_loopback() -> bool {
    let modules = std::fs::read_to_string("/proc/modules").unwrap_or_default();
    modules.contains("vsock_loopback ") || Path::new("/sys/module/vsock_loopback").exists()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn over_vsock() {
    use fnox_vault_wire::transport::VsockListener;

    if !has_vsock_loopback() {
        left_out("vsock (this kernel has no vsock_loopback)");
        return;
    }
    // Port 0 is not free to choose for vsock; one that nobody has is looked for.
    let listener = (50_000..50_100)
        .find_map(|port| VsockListener::bind_at(1, port).ok())
        .expect("a free vsock port");
    let connector = Connector::Vsock {
        cid: 1,
        port: listener.port(),
    };
    suite(listener.into(), connector, |peer| {
        matches!(peer, Peer::Vsock { cid: 1 })
    })
    .await;
}

//! As much of a PostgreSQL server as it takes to make a user.
//!
//! It speaks version 3.0 of the protocol (PostgreSQL 15 documentation, chapter 55: message flow and formats; appendix A: error
//! codes), asks for the password in clear, and knows the statements of the lease type `database` and no other one: what
//! the statements mean is tested against real servers.

use std::io::{self, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use fnox_core::Clock;
use jiff::SignedDuration;

use super::issuer::{Misbehaving, Misbehaviour};

/// More than any message of a client has.
const MESSAGE_LIMIT: u32 = 64 * 1024;

/// What [`Misbehaviour::ExpiredAnswer`] takes from the server's clock.
const LATE: SignedDuration = SignedDuration::from_hours(48);

/// A running server.
#[derive(Debug)]
pub struct Postgres {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    clock: Arc<dyn Clock>,
    has_ended: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    misbehaviour: Option<Misbehaviour>,
    connections: usize,
    complaints: Vec<String>,
    roles: usize,
}

impl Postgres {
    /// Who may make users.
    pub const USER: &str = "fnox";
    /// That user's password.
    pub const PASSWORD: &str = "postgres-canary-51c09be2d7";

    /// Starts one.
    ///
    /// # Panics
    /// If the system gives no port.
    #[must_use]
    pub fn start(clock: Arc<dyn Clock>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("the socket's address");
        let shared = Arc::new(Shared {
            clock,
            has_ended: AtomicBool::new(false),
            state: Mutex::default(),
        });
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if of_thread.has_ended.load(Ordering::SeqCst) {
                    break;
                }
                let Ok(stream) = stream else { continue };
                let shared = Arc::clone(&of_thread);
                // How a client ends a connection is its own business.
                std::thread::spawn(move || drop(Connection::serve(&shared, &stream)));
            }
        });
        Self {
            address,
            shared,
            thread: Some(thread),
        }
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// How many users were made.
    #[must_use]
    pub fn roles(&self) -> usize {
        self.shared.state().roles
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.shared.has_ended.store(true, Ordering::SeqCst);
        // Whoever waits for a connection looks.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Misbehaving for Postgres {
    fn misbehave(&self, misbehaviour: Option<Misbehaviour>) {
        self.shared.state().misbehaviour = misbehaviour;
    }

    fn url(&self) -> String {
        format!("postgres://{}", self.address)
    }

    fn request_count(&self) -> usize {
        self.shared.state().connections
    }

    fn complaints(&self) -> Vec<String> {
        self.shared.state().complaints.clone()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a statement is answered with.
enum Answer {
    /// Its tag.
    Done(&'static str),
    /// A whole number, if there is a row at all.
    Number(Option<i64>),
    /// SQLSTATE and message.
    Error(&'static str, String),
    /// Nothing, and the connection stays.
    Nothing,
    /// The connection ends.
    End,
}

struct Connection<'a> {
    shared: &'a Shared,
    misbehaviour: Option<Misbehaviour>,
    reader: BufReader<&'a TcpStream>,
    output: &'a TcpStream,
    /// The statement that was parsed last.
    parsed: String,
    /// Users of the transaction.
    made: usize,
    /// Messages up to the next Sync are left out (55.2.3).
    has_failed: bool,
}

impl<'a> Connection<'a> {
    fn serve(shared: &'a Shared, stream: &'a TcpStream) -> io::Result<()> {
        let misbehaviour = {
            let mut state = shared.state();
            state.connections += 1;
            state.misbehaviour
        };
        let mut connection = Self {
            shared,
            misbehaviour,
            reader: BufReader::new(stream),
            output: stream,
            parsed: String::new(),
            made: 0,
            has_failed: false,
        };
        if !connection.let_in()? {
            // Until the client has read what it was told.
            return io::copy(&mut connection.reader, &mut io::sink()).map(drop);
        }
        while connection.message()? {}
        Ok(())
    }

    /// Whether the client may go on.
    fn let_in(&mut self) -> io::Result<bool> {
        let start = self.body()?;
        let user = format!("\0user\0{}\0", Postgres::USER).into_bytes();
        let is_user_named = start.windows(user.len()).any(|window| window == user);
        if !start.starts_with(b"\0\x03\0\0") || !is_user_named {
            self.undocumented("the startup is not one of the administrator")?;
            return Ok(false);
        }
        match self.misbehaviour {
            Some(Misbehaviour::Garbage) => {
                self.output.write_all(&[b'?'; 4096])?;
                return Ok(false);
            }
            // What answers is no PostgreSQL.
            Some(Misbehaviour::Redirect) => {
                let page = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n";
                self.output.write_all(page)?;
                return Ok(false);
            }
            _ => {}
        }
        // AuthenticationCleartextPassword
        self.send(b'R', &3_i32.to_be_bytes())?;
        let (kind, password) = (self.byte()?, self.body()?);
        let given = password.strip_suffix(b"\0").unwrap_or_default();
        let refusal = match self.misbehaviour {
            _ if kind != b'p' || given != Postgres::PASSWORD.as_bytes() => Some("28P01"),
            Some(Misbehaviour::Status(401)) => Some("28P01"),
            Some(Misbehaviour::Status(503)) => Some("57P03"),
            Some(Misbehaviour::TooMany(_) | Misbehaviour::TooManyFor(_)) => Some("53300"),
            _ => None,
        };
        if let Some(code) = refusal {
            self.fail("FATAL", code, "the server does not let you in")?;
            return Ok(false);
        }
        self.send(b'R', &0_i32.to_be_bytes())?;
        self.ready()?;
        Ok(true)
    }

    /// Answers one message; false at the end.
    fn message(&mut self) -> io::Result<bool> {
        let kind = self.byte()?;
        let body = self.body()?;
        match kind {
            b'X' => return Ok(false),
            b'S' => {
                self.has_failed = false;
                self.ready()?;
            }
            _ if self.has_failed => {}
            b'Q' => {
                let sql = text(&body).0;
                let goes_on = self.run(&sql)?;
                self.has_failed = false;
                if !goes_on {
                    return Ok(false);
                }
                self.ready()?;
            }
            b'P' => {
                let (_, rest) = text(&body);
                self.parsed = text(rest).0;
                self.send(b'1', &[])?;
            }
            b'D' => self.describe()?,
            b'B' => self.send(b'2', &[])?,
            b'E' => {
                let sql = std::mem::take(&mut self.parsed);
                return self.run(&sql);
            }
            b'C' => self.send(b'3', &[])?,
            _ => self.undocumented("a message that nobody has asked for")?,
        }
        Ok(true)
    }

    /// ParameterDescription, and RowDescription of one `bigint` or NoData.
    fn describe(&mut self) -> io::Result<()> {
        self.send(b't', &0_i16.to_be_bytes())?;
        if !self.parsed.starts_with("SELECT") {
            return self.send(b'n', &[]);
        }
        let column = [
            &1_i16.to_be_bytes()[..],
            b"floor\0",
            &0_i32.to_be_bytes(),
            &0_i16.to_be_bytes(),
            &20_i32.to_be_bytes(),
            &8_i16.to_be_bytes(),
            &(-1_i32).to_be_bytes(),
            &0_i16.to_be_bytes(),
        ];
        self.send(b'T', &column.concat())
    }

    /// Runs a statement; false if the connection ends.
    fn run(&mut self, sql: &str) -> io::Result<bool> {
        match self.answer(sql) {
            Answer::Done(tag) => self.complete(tag)?,
            Answer::Number(number) => {
                if let Some(number) = number {
                    let row = [
                        &1_i16.to_be_bytes()[..],
                        &8_i32.to_be_bytes(),
                        &number.to_be_bytes(),
                    ];
                    self.send(b'D', &row.concat())?;
                }
                self.complete("SELECT 1")?;
            }
            Answer::Error(code, message) => {
                self.has_failed = true;
                self.fail("ERROR", code, &message)?;
            }
            Answer::Nothing => {
                io::copy(&mut self.reader, &mut io::sink())?;
                return Ok(false);
            }
            Answer::End => return Ok(false),
        }
        Ok(true)
    }

    fn answer(&mut self, sql: &str) -> Answer {
        let misbehaviour = self.misbehaviour;
        match sql {
            "SET search_path = pg_catalog" => Answer::Done("SET"),
            "RESET search_path" => Answer::Done("RESET"),
            "BEGIN" => Answer::Done("BEGIN"),
            "SELECT floor(extract(epoch FROM clock_timestamp()))::bigint" => {
                let now = self.shared.clock.now();
                Answer::Number(match misbehaviour {
                    Some(Misbehaviour::EmptyAnswer) => None,
                    Some(Misbehaviour::ExpiredAnswer) => Some((now - LATE).as_second()),
                    _ => Some(now.as_second()),
                })
            }
            "COMMIT" => {
                self.shared.state().roles += std::mem::take(&mut self.made);
                match misbehaviour {
                    Some(Misbehaviour::Silence) => Answer::Nothing,
                    Some(Misbehaviour::HangUp) => Answer::End,
                    _ => Answer::Done("COMMIT"),
                }
            }
            _ if sql.starts_with("CREATE ROLE ") => match misbehaviour {
                Some(Misbehaviour::Status(403)) => {
                    Answer::Error("42501", "permission denied to create role".to_owned())
                }
                Some(Misbehaviour::Status(_)) => {
                    // What a server says may repeat what it was told.
                    Answer::Error("XX000", format!("it broke for {}", Postgres::PASSWORD))
                }
                _ => {
                    self.made += 1;
                    Answer::Done("CREATE ROLE")
                }
            },
            _ if sql.starts_with("GRANT ") => Answer::Done("GRANT"),
            _ => {
                let complaint = format!("a statement that is not known here: {sql}");
                self.shared.state().complaints.push(complaint);
                Answer::Error("42601", "syntax error".to_owned())
            }
        }
    }

    fn undocumented(&mut self, reason: &str) -> io::Result<()> {
        self.shared.state().complaints.push(reason.to_owned());
        self.fail("FATAL", "08P01", reason)
    }

    fn complete(&mut self, tag: &str) -> io::Result<()> {
        self.send(b'C', &[tag.as_bytes(), b"\0"].concat())
    }

    fn ready(&mut self) -> io::Result<()> {
        self.send(b'Z', b"I")
    }

    fn fail(&mut self, severity: &str, code: &str, message: &str) -> io::Result<()> {
        let body = format!("S{severity}\0V{severity}\0C{code}\0M{message}\0\0");
        self.send(b'E', body.as_bytes())
    }

    fn send(&mut self, kind: u8, body: &[u8]) -> io::Result<()> {
        let length = u32::try_from(body.len() + 4).map_err(io::Error::other)?;
        let message = [&[kind][..], &length.to_be_bytes(), body].concat();
        self.output.write_all(&message)
    }

    fn byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.reader.read_exact(&mut byte)?;
        Ok(byte[0])
    }

    /// What follows a length, which counts itself.
    fn body(&mut self) -> io::Result<Vec<u8>> {
        let mut length = [0; 4];
        self.reader.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length)
            .checked_sub(4)
            .filter(|length| *length <= MESSAGE_LIMIT)
            .ok_or(io::ErrorKind::InvalidData)?;
        let mut body = vec![0; length as usize];
        self.reader.read_exact(&mut body)?;
        Ok(body)
    }
}

/// A text that ends with NUL, and what follows it.
fn text(body: &[u8]) -> (String, &[u8]) {
    let end = body
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(body.len());
    let rest = body.get(end + 1..).unwrap_or_default();
    (String::from_utf8_lossy(&body[..end]).into_owned(), rest)
}

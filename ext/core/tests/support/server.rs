//! A server that speaks as much of PostgreSQL's protocol as a pool needs, or less.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// How it behaves, from the next message on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    Well,
    /// Takes the connection and says nothing until the manner is another.
    Stalls,
    /// The same, and answers no query either.
    Silent,
    /// Answers a query with nothing until the manner is another; connects go well.
    StallsQueries,
    /// Answers nothing to a Sync, which is a ping; queries go well.
    StallsPings,
    /// Answers a BEGIN with nothing until it is cancelled, or the manner is another.
    StallsBegin,
    /// The same, and the first cancel comes where it ends nothing.
    MissesCancel,
    /// Closes in the middle of the start.
    ClosesStart,
    /// Closes in the middle of an answer.
    ClosesAnswer,
    /// Answers the start with what is no protocol.
    Rubbish,
    /// Answers a query with what is no protocol.
    RubbishAnswer,
    /// Refuses the start with this SQLSTATE.
    Refuses(&'static str),
}

/// What it says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Primary,
    /// With default_transaction_read_only.
    ReadOnly,
    Standby,
}

struct Shared {
    manner: Mutex<Manner>,
    role: Mutex<Role>,
    changed: Condvar,
    closing: AtomicBool,
    cancelled: AtomicBool,
    accepted: AtomicUsize,
    said: Mutex<Vec<String>>,
    sockets: Mutex<Vec<TcpStream>>,
}

pub struct Server {
    shared: Arc<Shared>,
    address: SocketAddr,
    accepting: Option<JoinHandle<()>>,
}

impl Server {
    pub fn new(manner: Manner) -> Self {
        Self::at("127.0.0.1:0", manner)
    }

    pub fn of_role(role: Role) -> Self {
        let server = Self::new(Manner::Well);
        server.become_role(role);
        server
    }

    pub fn at(address: &str, manner: Manner) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            manner: Mutex::new(manner),
            role: Mutex::new(Role::Primary),
            changed: Condvar::new(),
            closing: AtomicBool::new(false),
            cancelled: AtomicBool::new(false),
            accepted: AtomicUsize::new(0),
            said: Mutex::default(),
            sockets: Mutex::default(),
        });
        let serving = shared.clone();
        let accepting = std::thread::spawn(move || {
            let mut sessions = Vec::new();
            while let Ok((socket, _)) = listener.accept() {
                if serving.closing.load(Ordering::SeqCst) {
                    break;
                }
                serving.accepted.fetch_add(1, Ordering::SeqCst);
                let session = serving.clone();
                sessions.retain(|session: &JoinHandle<()>| !session.is_finished());
                sessions.push(std::thread::spawn(move || session.serve(socket)));
            }
            sessions.into_iter().for_each(|session| session.join().unwrap());
        });
        Server {
            shared,
            address,
            accepting: Some(accepting),
        }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn become_role(&self, role: Role) {
        *self.shared.role.lock().unwrap() = role;
    }

    pub fn url(&self) -> String {
        format!("postgres://somebody@127.0.0.1:{}/things?sslmode=disable", self.port())
    }

    pub fn behave(&self, manner: Manner) {
        *self.shared.manner.lock().unwrap() = manner;
        self.shared.changed.notify_all();
    }

    /// How many connections there have been.
    pub fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// How many there are.
    pub fn open(&self) -> usize {
        self.shared.sockets.lock().unwrap().len()
    }

    /// What was asked, in order.
    pub fn said(&self) -> Vec<String> {
        self.shared.said.lock().unwrap().clone()
    }

    pub fn hang_up(&self) {
        for socket in &*self.shared.sockets.lock().unwrap() {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        self.behave(Manner::Well);
        self.hang_up();
        drop(TcpStream::connect(self.address));
        let accepting = self.accepting.take().map(JoinHandle::join);
        assert!(accepting.is_none_or(|ended| ended.is_ok()) || std::thread::panicking());
    }
}

impl Shared {
    fn manner(&self) -> Manner {
        *self.manner.lock().unwrap()
    }

    fn serve(&self, socket: TcpStream) {
        socket.set_nodelay(true).unwrap();
        // A session that nobody ends does not outlive its test.
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let address = socket.peer_addr().unwrap();
        self.sockets.lock().unwrap().push(socket.try_clone().unwrap());
        let _ = self.session(&socket);
        let _ = socket.shutdown(Shutdown::Both);
        let left = |other: &TcpStream| other.peer_addr().is_ok_and(|other| other != address);
        self.sockets.lock().unwrap().retain(left);
    }

    fn session(&self, mut socket: &TcpStream) -> std::io::Result<()> {
        let mut length = [0; 4];
        socket.read_exact(&mut length)?;
        body(socket, length)?;
        self.wait_while(|manner| matches!(manner, Manner::Stalls | Manner::Silent));
        match self.manner() {
            Manner::ClosesStart => return socket.write_all(b"R\0\0"),
            Manner::Rubbish => return socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
            Manner::Refuses(state) => return socket.write_all(&error("FATAL", state)),
            _ => {}
        }
        let mut start = message(b'R', &0_i32.to_be_bytes());
        start.extend(message(b'K', &[0, 0, 0, 7, 0, 0, 0, 9]));
        start.extend(ready(b'I'));
        socket.write_all(&start)?;
        let mut transaction = b'I';
        loop {
            let mut kind = [0; 1];
            socket.read_exact(&mut kind)?;
            socket.read_exact(&mut length)?;
            let text = body(socket, length)?;
            match kind[0] {
                b'Q' => {
                    let sql = String::from_utf8_lossy(&text).trim_end_matches('\0').to_owned();
                    self.said.lock().unwrap().push(sql.clone());
                    self.query(socket, &sql, &mut transaction)?;
                }
                b'S' => {
                    self.said.lock().unwrap().push("sync".to_owned());
                    self.wait_while(|manner| {
                        matches!(manner, Manner::StallsPings | Manner::StallsQueries | Manner::Silent)
                    });
                    socket.write_all(&ready(transaction))?;
                }
                b'X' => return Ok(()),
                other => panic!("message {:?} is not known here", char::from(other)),
            }
        }
    }

    fn query(&self, mut socket: &TcpStream, sql: &str, transaction: &mut u8) -> std::io::Result<()> {
        let greeting = sql.starts_with("SELECT pg_backend_pid()");
        if !greeting {
            self.wait_while(|manner| matches!(manner, Manner::StallsQueries | Manner::Silent));
            match self.manner() {
                Manner::ClosesAnswer => return socket.write_all(b"C\0\0").and(Err(std::io::ErrorKind::Other.into())),
                Manner::RubbishAnswer => return socket.write_all(b"\x7f\xff\xff\xff\xff rubbish\0\0\0\0"),
                _ => {}
            }
        }
        if sql.starts_with("SELECT pg_cancel_backend") {
            let mut manner = self.manner.lock().unwrap();
            if *manner == Manner::MissesCancel {
                *manner = Manner::StallsBegin;
            } else {
                self.cancelled.store(true, Ordering::SeqCst);
            }
            self.changed.notify_all();
        } else if sql == "BEGIN" {
            let cancelled = || self.cancelled.load(Ordering::SeqCst);
            self.wait_while(|manner| [Manner::StallsBegin, Manner::MissesCancel].contains(&manner) && !cancelled());
            if self.cancelled.swap(false, Ordering::SeqCst) {
                return socket.write_all(&[error("ERROR", "57014"), ready(*transaction)].concat());
            }
        }
        let mut answer = Vec::new();
        if sql.contains("pg_is_in_recovery()") {
            let role = *self.role.lock().unwrap();
            let told = |is: bool| (16, if is { "t" } else { "f" });
            answer.extend(row(&[
                (23, "7"),
                (20, "9"),
                told(role == Role::Standby),
                told(role == Role::ReadOnly),
                (25, "1700000000.1"),
            ]));
        } else if sql.starts_with("SELECT") {
            answer.extend(row(&[(23, "7"), (20, "9")]));
        }
        match sql {
            "BEGIN" => *transaction = b'T',
            "COMMIT" | "ROLLBACK" => *transaction = b'I',
            _ => {}
        }
        answer.extend(message(b'C', format!("{sql}\0").as_bytes()));
        answer.extend(ready(*transaction));
        socket.write_all(&answer)
    }

    fn wait_while(&self, stalls: impl Fn(Manner) -> bool) {
        let manner = self.manner.lock().unwrap();
        let limit = Duration::from_secs(60);
        drop(
            self.changed
                .wait_timeout_while(manner, limit, |manner| stalls(*manner))
                .unwrap(),
        );
    }
}

fn body(mut socket: &TcpStream, length: [u8; 4]) -> std::io::Result<Vec<u8>> {
    let length = u32::from_be_bytes(length) as usize - 4;
    let mut body = vec![0; length];
    socket.read_exact(&mut body)?;
    Ok(body)
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[kind], &length.to_be_bytes()[..], body].concat()
}

/// One row, of values with their types.
fn row(values: &[(i32, &str)]) -> Vec<u8> {
    let count = i16::try_from(values.len()).unwrap().to_be_bytes();
    let (mut columns, mut data) = (count.to_vec(), count.to_vec());
    for (kind, value) in values {
        columns.extend(b"column\0\0\0\0\0\0\0");
        columns.extend(kind.to_be_bytes());
        columns.extend(b"\xff\xff\xff\xff\xff\xff\0\0");
        data.extend(i32::try_from(value.len()).unwrap().to_be_bytes());
        data.extend(value.as_bytes());
    }
    [message(b'T', &columns), message(b'D', &data)].concat()
}

fn ready(transaction: u8) -> Vec<u8> {
    message(b'Z', &[transaction])
}

fn error(severity: &str, state: &str) -> Vec<u8> {
    let fields = format!("S{severity}\0V{severity}\0C{state}\0Mrefused by the test\0\0");
    message(b'E', fields.as_bytes())
}

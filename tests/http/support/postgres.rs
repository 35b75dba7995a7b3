//! A PostgreSQL server for the tests, with a database for each that asks; and a line to it that can
//! stall and be cut.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::thread;

use super::egress::Authority;
use super::until;

/// Runs until its input ends, which it does with the tests, whatever becomes of them. Each line of it
/// has the server go down without a farewell, and come back.
const SCRIPT: &str = r#"
set -e
export PATH="$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1):$PATH"
data=$(mktemp -d)
cd "$data"
initdb --auth trust --username test --pgdata "$data/db" --no-sync >"$data/log" 2>&1 || { cat "$data/log" >&2; exit 1; }
umask 077
printf '%s' "$2" >server.crt
printf '%s' "$3" >server.key
start() {
  postgres -D "$data/db" -k "$data" -p "$1" -c listen_addresses=127.0.0.1 -c max_connections=300 \
    -c ssl=on -c ssl_cert_file="$data/server.crt" -c ssl_key_file="$data/server.key" >>"$data/log" 2>&1 &
  server=$!
}
start "$1"
trap 'kill -QUIT "$server" 2>/dev/null; wait "$server" 2>/dev/null; rm -rf "$data"' EXIT
echo "$server"
while read -r _; do
  kill -QUIT "$server"
  wait "$server" || true
  start "$1"
done
"#;

/// A server. That of most tests is started once and ends with them. It has TLS, as Debian's has, with
/// a certificate for `localhost` by an authority of its own.
pub(crate) struct PostgresServer {
    port: u16,
    authority: Authority,
    databases: AtomicUsize,
    restarts: usize,
    script: Mutex<(Child, ChildStdin)>,
}

impl PostgresServer {
    /// The address of an empty database, for this test alone.
    pub(crate) fn database() -> String {
        Self::running().make_database()
    }

    /// A server that no other test has anything to do with.
    pub(crate) fn own() -> Self {
        Self::start()
    }

    /// The address of an empty database.
    pub(crate) fn make_database(&self) -> String {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{number}");
        self.run(&format!("create database {name}"));
        format!("postgres://test@127.0.0.1:{}/{name}", self.port)
    }

    /// Who has certified the server of [`Self::database`].
    pub(crate) fn authority() -> &'static Authority {
        &Self::running().authority
    }

    /// Has it go down as if it had been killed, and come back.
    pub(crate) fn restart(&mut self) {
        self.restarts += 1;
        let script = self.script.get_mut().unwrap();
        writeln!(script.1, "again").unwrap();
    }

    /// How often it was restarted.
    pub(crate) fn restarts(&self) -> usize {
        self.restarts
    }

    /// Does something in the database at this address.
    pub(crate) fn prepare(address: &str, sql: &str) {
        execute(address, sql).unwrap();
    }

    fn running() -> &'static Self {
        static SERVER: OnceLock<PostgresServer> = OnceLock::new();
        SERVER.get_or_init(Self::start)
    }

    /// The server itself refuses to run as root.
    fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
        let mut command = match is_root {
            true => Command::new("runuser"),
            false => Command::new("sh"),
        };
        if is_root {
            command.args(["-u", "postgres", "--", "sh"]);
        }
        let authority = Authority::new();
        let (certificate, key) = authority.certify("localhost");
        let mut script = command
            .args(["-c", SCRIPT, "sh", &port.to_string(), &certificate, &key])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(script.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert!(
            !line.is_empty(),
            "PostgreSQL does not start; install Debian's package postgresql"
        );
        let stdin = script.stdin.take().unwrap();
        let server = Self {
            port,
            authority,
            databases: AtomicUsize::new(0),
            restarts: 0,
            script: Mutex::new((script, stdin)),
        };
        until("PostgreSQL answers", || server.try_run("select 1").ok());
        server
    }

    fn run(&self, sql: &str) {
        self.try_run(sql).unwrap();
    }

    fn try_run(&self, sql: &str) -> Result<(), tokio_postgres::Error> {
        let address = format!("postgres://test@127.0.0.1:{}/postgres", self.port);
        execute(&address, sql)
    }
}

/// Something that is done in a database and not committed; it is undone when this is dropped.
pub(crate) struct Held {
    runtime: tokio::runtime::Runtime,
    client: tokio_postgres::Client,
}

impl Held {
    /// Does this in the database at this address.
    pub(crate) fn new(address: &str, sql: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let client = runtime.block_on(async {
            let connected = tokio_postgres::connect(address, tokio_postgres::NoTls).await;
            let (client, connection) = connected.unwrap();
            tokio::spawn(connection);
            client
                .batch_execute(&format!("begin; {sql}"))
                .await
                .unwrap();
            client
        });
        Self { runtime, client }
    }

    /// How many transactions wait for it.
    pub(crate) fn waiting(&self) -> i64 {
        let sql = "select count(*) from pg_stat_activity \
                   where datname = current_database() and wait_event_type = 'Lock'";
        let found = self.runtime.block_on(self.client.query_one(sql, &[]));
        found.unwrap().get(0)
    }
}

/// Runs statements in the database at this address.
pub(crate) fn execute(address: &str, sql: &str) -> Result<(), tokio_postgres::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(address, tokio_postgres::NoTls).await?;
        let driven = tokio::spawn(connection);
        let done = client.batch_execute(sql).await;
        drop(client);
        let _ = driven.await;
        done
    })
}

/// A line to a server that does what the test wants.
pub(crate) struct Relay {
    port: u16,
    state: Arc<Line>,
}

#[derive(Default)]
struct Line {
    stalls: Mutex<bool>,
    flows: Condvar,
    is_shut: AtomicBool,
    /// Those that are left without a word.
    outside: Mutex<Vec<TcpStream>>,
    refuses: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

impl Relay {
    /// A line to the database at this address; gives the address that leads over it.
    pub(crate) fn to(address: &str) -> (Self, String) {
        let url = url::Url::parse(address).unwrap();
        let target = (url.host_str().unwrap().to_owned(), url.port().unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::<Line>::default();
        let line = Arc::clone(&state);
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                if line.refuses.load(Ordering::Acquire) {
                    continue;
                }
                if line.is_shut.load(Ordering::Acquire) {
                    line.outside.lock().unwrap().push(near);
                    continue;
                }
                let far = TcpStream::connect((target.0.as_str(), target.1)).unwrap();
                line.open
                    .lock()
                    .unwrap()
                    .extend([near.try_clone().unwrap(), far.try_clone().unwrap()]);
                pump(&line, near.try_clone().unwrap(), far.try_clone().unwrap());
                pump(&line, far, near);
            }
        });
        let mut over = url;
        over.set_port(Some(port)).unwrap();
        (Self { port, state }, over.to_string())
    }

    /// Lets nothing through, and says nothing of it.
    pub(crate) fn stall(&self) {
        *self.state.stalls.lock().unwrap() = true;
    }

    /// Leaves whoever comes from now on without a word; those that are there stay.
    pub(crate) fn shut(&self) {
        self.state.is_shut.store(true, Ordering::Release);
    }

    /// How many have come since it was shut.
    pub(crate) fn outside(&self) -> usize {
        self.state.outside.lock().unwrap().len()
    }

    /// Lets everything through again.
    pub(crate) fn flow(&self) {
        *self.state.stalls.lock().unwrap() = false;
        self.state.refuses.store(false, Ordering::Release);
        self.state.is_shut.store(false, Ordering::Release);
        self.state.outside.lock().unwrap().clear();
        self.state.flows.notify_all();
    }

    /// Ends all connections, and takes no more.
    pub(crate) fn cut(&self) {
        self.state.refuses.store(true, Ordering::Release);
        for socket in self.state.open.lock().unwrap().drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.cut();
        // Wakes the thread that waits for connections, which finds that it refuses them.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn pump(line: &Arc<Line>, mut from: TcpStream, mut to: TcpStream) {
    let line = Arc::clone(line);
    thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        while let Ok(length) = from.read(&mut buffer) {
            let stalled = line.stalls.lock().unwrap();
            drop(line.flows.wait_while(stalled, |stalls| *stalls).unwrap());
            if length == 0 || to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
}

//! The processes under test, and what the kernel says of them.

use std::cell::Cell;
use std::fmt;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::client::Client;
use crate::scenario::WHOLE;
use crate::template::Template;
use crate::upstream::Upstream;

/// Who stands between clients and upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Nobody.
    Direct,
    Nginx,
    Gateway,
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Direct => "direct",
            Self::Nginx => "nginx",
            Self::Gateway => "gateway",
        })
    }
}

/// How a peer is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Setup {
    /// As it comes; the gateway writes a line for each request to a file.
    Usual,
    /// The gateway writes no lines.
    Quiet,
    /// The gateway keeps nothing for its console.
    Unwatched,
    /// The gateway's callers have one of so many keys, with limits and budgets, whose books are in a
    /// file beside the ledger.
    Keys(usize),
    /// As it comes, in a process of its own.
    Apart,
    /// The gateway keeps what it keeps in a file.
    Filed,
    /// fal is called over TLS.
    Tls,
}

impl Setup {
    pub(crate) const ALL: [Self; 9] = [
        Self::Usual,
        Self::Quiet,
        Self::Unwatched,
        Self::Keys(1),
        Self::Keys(1_000),
        Self::Keys(100_000),
        Self::Apart,
        Self::Filed,
        Self::Tls,
    ];
}

/// The settings of a caller whose key is `bench`, after so many other keys. What is limited is never
/// met.
fn accounts(keys: usize) -> String {
    const LIMITS: &str = "requests_per_minute = 100000000\ntokens_per_minute = 100000000000\n\
        concurrency = 20000\nbudgets = [\"100000000/day\", \"100000000 req/month\"]\n";
    let mut text = "[store]\npath = \"books.db\"\n".to_owned();
    for number in 1..keys {
        text.push_str(&format!(
            "[[keys]]\nname = \"k{number}\"\nhash = \"sha256:{number:064x}\"\n{LIMITS}"
        ));
    }
    text + "[[keys]]\nname = \"bench\"\n\
        hash = \"sha256:1b32c28cb38c05480eccc1bd60ff97029b57a05c96718b96dad7e9d84894f549\"\n"
        + LIMITS
}

/// The settings of a store in a file.
const STORE: &str = "[store]\npath = \"kept.db\"\n";

/// A peer that answers, alone on the first core.
pub(crate) struct Peer {
    pub(crate) kind: Kind,
    pub(crate) setup: Setup,
    pub(crate) address: SocketAddr,
    /// From the start of the process to its first answer.
    pub(crate) started_in: Duration,
    /// Resident memory after the first answer, in KiB.
    pub(crate) idle_kib: u64,
    /// The number of the next request, where each has its own.
    next: Cell<usize>,
    process: Option<Child>,
    _folder: tempfile::TempDir,
}

/// CPU and memory of a process and its children.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent {
    pub(crate) cpu: Duration,
    pub(crate) resident_kib: u64,
    pub(crate) descriptors: usize,
}

impl Peer {
    /// Starts what stands before the upstream, and waits for its first answer.
    pub(crate) async fn start(
        kind: Kind,
        setup: Setup,
        gateway: &Path,
        upstream: &Upstream,
    ) -> Outcome<Self> {
        let listen = match kind {
            Kind::Direct => upstream.address,
            Kind::Nginx | Kind::Gateway => free_address()?,
        };
        let fal = Fal::new(upstream, setup);
        let command = |folder: &Path| match kind {
            Kind::Direct => Ok(None),
            Kind::Nginx => nginx(folder, listen, &fal).map(Some),
            Kind::Gateway => {
                let more = match setup {
                    Setup::Keys(keys) => accounts(keys),
                    Setup::Filed => STORE.to_owned(),
                    Setup::Usual | Setup::Quiet | Setup::Unwatched | Setup::Apart | Setup::Tls => {
                        String::new()
                    }
                };
                let mut command = gateway_command(gateway, folder, listen, &fal, &more)?;
                match setup {
                    Setup::Quiet => command.env("FAL_GATEWAY__LOG__LEVEL", "error"),
                    Setup::Unwatched => command.env("FAL_GATEWAY__CONSOLE__CAPTURE", "off"),
                    Setup::Usual | Setup::Keys(_) | Setup::Apart | Setup::Filed | Setup::Tls => {
                        &mut command
                    }
                };
                Ok(Some(command))
            }
        };
        let first = Template::new(kind, WHOLE).numbered(0).to_vec();
        Self::launch(kind, setup, listen, command, &first).await
    }

    /// The gateway before this fal.
    pub(crate) async fn gateway(program: &Path, fal: SocketAddr) -> Outcome<Self> {
        let listen = free_address()?;
        let fal = Fal::plain(fal);
        let command = |folder: &Path| gateway_command(program, folder, listen, &fal, "").map(Some);
        let first = Template::new(Kind::Gateway, WHOLE).numbered(0).to_vec();
        Self::launch(Kind::Gateway, Setup::Usual, listen, command, &first).await
    }

    /// The emulator of fal that the gateway brings along.
    pub(crate) async fn emulator(program: &Path) -> Outcome<Self> {
        let listen = free_address()?;
        let command = |folder: &Path| {
            let log = fs::File::create(folder.join("log"))?;
            let mut command = Command::new(program);
            command.args(["emulator", "--listen", &listen.to_string()]);
            command
                .current_dir(folder)
                .stdout(log.try_clone()?)
                .stderr(log);
            Ok(Some(command))
        };
        let first = b"GET /_emulator/requests HTTP/1.1\r\nhost: localhost\r\n\r\n";
        Self::launch(Kind::Direct, Setup::Usual, listen, command, first).await
    }

    async fn launch(
        kind: Kind,
        setup: Setup,
        address: SocketAddr,
        command: impl FnOnce(&Path) -> Outcome<Option<Command>>,
        first_request: &[u8],
    ) -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let command = command(folder.path())?;
        let begun = Instant::now();
        let process = command.map(|mut command| command.spawn()).transpose()?;
        let mut peer = Self {
            kind,
            setup,
            address,
            started_in: Duration::ZERO,
            idle_kib: 0,
            next: Cell::new(0),
            process,
            _folder: folder,
        };
        peer.wait_for_answer(first_request, begun).await?;
        peer.started_in = begun.elapsed();
        peer.idle_kib = peer.spent().resident_kib;
        Ok(peer)
    }

    async fn wait_for_answer(&self, request: &[u8], begun: Instant) -> Outcome<()> {
        // Under valgrind a start with many keys takes a while.
        while begun.elapsed() < Duration::from_secs(300) {
            if let Ok(mut client) = Client::connect(self.address).await {
                return client.request(request).await.map(drop);
            }
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        Err(format!("{} did not start", self.kind).into())
    }

    /// The first of so many numbers that no request had yet.
    pub(crate) fn next_number(&self, count: usize) -> usize {
        self.next.replace(self.next.get() + count)
    }

    /// The id of its process, where it is one.
    pub(crate) fn process_id(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// What the peer has used up so far, and holds now.
    pub(crate) fn spent(&self) -> Spent {
        let mut spent = Spent::default();
        let Some(process) = &self.process else {
            return spent;
        };
        for id in family(process.id()) {
            let folder = format!("/proc/{id}");
            spent.cpu += cpu_of_threads(&folder);
            spent.resident_kib += status_kib(&folder, "VmRSS:").unwrap_or(0);
            spent.descriptors += fs::read_dir(format!("{folder}/fd")).map_or(0, Iterator::count);
        }
        spent
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            // nginx's master ends its worker only on a signal that it can catch.
            let _ = Command::new("kill").arg(process.id().to_string()).status();
            let _ = process.wait();
        }
    }
}

/// Leaves the first core to the peers.
pub(crate) fn stay_on_the_second_core() {
    let id = std::process::id().to_string();
    let status = Command::new("taskset")
        .args(["-a", "-p", "-c", "1", &id])
        .stdout(Stdio::null())
        .status();
    if !status.is_ok_and(|status| status.success()) {
        eprintln!(
            "The clients could not be given a core of their own; the figures are less certain."
        );
    }
}

fn on_the_first_core(program: &Path, folder: &Path) -> Outcome<Command> {
    let mut command = Command::new("taskset");
    let log = fs::File::create(folder.join("log"))?;
    command
        .args(["-c", "0"])
        .arg(program)
        .current_dir(folder)
        .stdout(log.try_clone()?)
        .stderr(log);
    Ok(command)
}

/// Where fal is.
struct Fal {
    scheme: &'static str,
    address: SocketAddr,
    /// A file with the certificate that vouches for it.
    certificate: Option<PathBuf>,
}

impl Fal {
    fn new(upstream: &Upstream, setup: Setup) -> Self {
        match setup {
            Setup::Usual
            | Setup::Quiet
            | Setup::Unwatched
            | Setup::Keys(_)
            | Setup::Apart
            | Setup::Filed => Self::plain(upstream.address),
            Setup::Tls => Self {
                scheme: "https",
                address: upstream.tls_address,
                certificate: Some(upstream.certificate.path().to_owned()),
            },
        }
    }

    fn plain(address: SocketAddr) -> Self {
        Self {
            scheme: "http",
            address,
            certificate: None,
        }
    }
}

fn gateway_command(
    program: &Path,
    folder: &Path,
    listen: SocketAddr,
    fal: &Fal,
    more: &str,
) -> Outcome<Command> {
    let Fal {
        scheme,
        address,
        certificate,
    } = fal;
    let settings = format!(
        "[server]\nlisten = \"{listen}\"\nmax_connections = 20000\n\
         [limits]\nmax_inflight = 20000\n[fal]\nurl = \"{scheme}://{address}\"\nrest_url = \"{scheme}://{address}\"\n\
         idle_timeout = \"60s\"\n{more}"
    );
    fs::write(folder.join("fal-gateway.toml"), settings)?;
    let mut command = on_the_first_core(program, folder)?;
    // What only lies in the folder may not say where conversations are kept.
    command
        .args(["serve", "--config", "fal-gateway.toml"])
        .env("FAL_KEY", "id:secret");
    if let Some(file) = certificate {
        command.env("FAL_GATEWAY__FAL__CA_FILE", file);
    }
    // Or nobody but root could count what it has open. Older ones do not know the setting.
    if program == Path::new(env!("CARGO_BIN_EXE_fal-gateway")) {
        command.env("FAL_GATEWAY__SERVER__CORE_DUMPS", "true");
    }
    Ok(command)
}

/// One worker, kept connections to the upstream, nothing buffered, no log.
fn nginx(folder: &Path, listen: SocketAddr, fal: &Fal) -> Outcome<Command> {
    let Fal {
        scheme,
        address,
        certificate,
    } = fal;
    let tls = certificate
        .as_ref()
        .map(|file| {
            let file = file.display();
            format!(
                "proxy_ssl_verify on; proxy_ssl_trusted_certificate {file}; proxy_ssl_name localhost; \
                 proxy_ssl_server_name on; proxy_ssl_protocols TLSv1.2 TLSv1.3;"
            )
        })
        .unwrap_or_default();
    let settings = format!(
        "daemon off; worker_processes 1; worker_rlimit_nofile 20000; pid nginx.pid; error_log stderr error;\n\
         events {{ worker_connections 15000; }}\n\
         http {{\n\
         access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f;\n\
         uwsgi_temp_path u; scgi_temp_path s; keepalive_requests 10000000; tcp_nodelay on;\n\
         upstream fal {{ server {address}; keepalive 64; keepalive_requests 10000000; }}\n\
         server {{ listen {listen}; location / {{ proxy_pass {scheme}://fal; {tls} proxy_http_version 1.1;\n\
         proxy_set_header Connection \"\"; proxy_buffering off; }} }}\n\
         }}\n"
    );
    let path = folder.join("nginx.conf");
    fs::write(&path, settings)?;
    let mut command = on_the_first_core(Path::new("nginx"), folder)?;
    command.arg("-p").arg(folder).arg("-c").arg(path);
    Ok(command)
}

fn free_address() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// A process and its children, which is as deep as nginx goes.
fn family(id: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
    std::iter::once(id)
        .chain(
            children
                .split_whitespace()
                .filter_map(|child| child.parse().ok()),
        )
        .collect()
}

fn cpu_of_threads(folder: &str) -> Duration {
    let Ok(threads) = fs::read_dir(format!("{folder}/task")) else {
        return Duration::ZERO;
    };
    let nanoseconds = threads.flatten().filter_map(|thread| {
        let schedstat = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        schedstat.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}

fn status_kib(folder: &str, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("{folder}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

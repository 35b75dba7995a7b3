//! Where the gateway listens and how patient it is with its clients.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::kinds::{
    Address, Count, FilePath, Host, List, NetworkBlock, Optional, Size, Span, Switch, WebOrigin,
    ZeroMeansNone,
};
use super::network::Network;
use super::settings::settings;

settings! {
    /// Where the gateway listens and how patient it is with its clients.
    pub struct Server in "server" {
        /// Address and port to listen on. Beyond this machine, configure client keys first
        /// (`auth.keys`). `PORT` in the environment replaces only the port.
        listen: SocketAddr, Address, default "127.0.0.1:3250", flag "--listen", reload restart;
        /// Certificate chain in PEM form, the gateway's own certificate first: clients are spoken to in
        /// TLS, over HTTP/1.1. A renewed one is taken up for the connections that begin after it.
        /// Relative paths start at the working directory.
        tls_cert: Option<PathBuf>, Optional(FilePath), reload live;
        /// Private key of that certificate, in PEM form without a password.
        tls_key: Option<PathBuf>, Optional(FilePath), reload live;
        /// Worker threads; `0` for one per core.
        workers: Option<usize>, ZeroMeansNone(Count(0, 1024)), default "0", reload restart;
        /// Time a client has to send the head of a request.
        header_timeout: Duration, Span("1ms", "1h"), default "10s", reload restart;
        /// Time a client has to send the whole body of a request.
        body_timeout: Duration, Span("1ms", "1h"), default "30s", reload live;
        /// Time an idle client connection is kept open.
        keep_alive: Duration, Span("1ms", "1h"), default "75s", reload restart;
        /// Time a client may leave a piece of the answer unread before the request is cancelled.
        write_timeout: Duration, Span("1ms", "1h"), default "30s", reload live;
        /// Time running requests get to finish after the order to stop.
        drain_timeout: Duration, Span("0s", "1h"), default "25s", reload live;
        /// Largest request body in bytes, images inside it included.
        max_body: usize, Size("1", "1GiB"), default "16MiB", reload live;
        /// Silence after which a stream sends the comment `: keep-alive`, and begins if it has not;
        /// `0s` for never.
        heartbeat: Option<Duration>, ZeroMeansNone(Span("0s", "1h")), default "15s", reload live;
        /// Web pages whose scripts may call the gateway (CORS); empty for none. `*` allows every
        /// page and is refused together with client keys.
        cors_origins: Vec<String>, List(WebOrigin), reload restart;
        /// Open client connections at most; `0` lets the gateway choose by the file descriptors
        /// it may open.
        max_connections: Option<usize>, ZeroMeansNone(Count(0, 1_000_000)), default "0", reload restart;
        /// Open connections of one client address at most; `0` for a quarter of all, from which
        /// this machine's own addresses are excepted.
        max_connections_per_address: Option<usize>, ZeroMeansNone(Count(0, 1_000_000)), default "0", reload restart;
        /// Addresses or networks of proxies in front. A request that comes from one of them counts
        /// as coming from the address that it names last in `x-forwarded-for`, and their
        /// connections are not limited by address.
        trusted_proxies: Vec<Network>, List(NetworkBlock), reload live;
        /// Host names, besides this machine's own, under which requests are accepted that no key
        /// vouches for (protection against DNS rebinding).
        public_hosts: Vec<String>, List(Host), reload live;
        /// Take up a settings file that has changed, with the files that it names, without being told
        /// (SIGHUP tells it).
        watch: bool, Switch, default "true", reload restart;
        /// Let the system write the memory of a crashed process to a disk, and debuggers look into a
        /// running one. There are keys in it.
        core_dumps: bool, Switch, default "false", reload restart;
    }
}

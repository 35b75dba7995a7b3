//! The way to fal: its name, a connection, and what answers there.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use tokio::net::{TcpStream, lookup_host};
use url::Url;

use super::report::Ailment::{Application, Balance, Key, Way};
use super::report::Finding::{self, Fine, Note, Wrong};
use crate::config::{Fal, Proxy};
use crate::upstream::{FalClient, FalKey, Knock, Obstacle, RefusalKind, UpstreamError};

/// Where the first connection leads: to fal, or to the proxy before it.
pub(super) struct Door {
    host: String,
    port: u16,
    is_proxy: bool,
}

impl Door {
    pub(super) fn of(fal: &Fal) -> Self {
        let (url, is_proxy): (&Url, bool) = match &fal.proxy {
            Some(Proxy::At { url, .. }) if fal.url.scheme() == "https" => (url, true),
            _ => (&fal.url, false),
        };
        let host = url.host_str().unwrap_or_default();
        Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port_or_known_default().unwrap_or(443),
            is_proxy,
        }
    }

    fn whose(&self) -> &'static str {
        if self.is_proxy {
            "the proxy's"
        } else {
            "fal's"
        }
    }

    /// Looks the name up.
    pub(super) async fn name(&self, limit: Duration) -> (Finding, Vec<SocketAddr>) {
        let found = lookup_host((self.host.as_str(), self.port));
        let found = tokio::time::timeout(limit, found).await;
        let addresses: Vec<SocketAddr> = match found {
            Ok(Ok(found)) => found.collect(),
            Ok(Err(_)) | Err(_) => Vec::new(),
        };
        let (host, whose) = (&self.host, self.whose());
        let finding = match addresses.first() {
            Some(first) => Fine(format!("{host} is {}", first.ip())),
            None => Wrong(
                Way,
                format!(
                    "{whose} name {host} cannot be resolved. See whether {} is right, and this \
                     machine's name server answers.",
                    self.setting()
                ),
            ),
        };
        (finding, addresses)
    }

    /// Opens a connection.
    pub(super) async fn connection(&self, addresses: &[SocketAddr], limit: Duration) -> Finding {
        for address in addresses {
            let connecting = TcpStream::connect(address);
            if let Ok(Ok(_)) = tokio::time::timeout(limit, connecting).await {
                return Fine(format!("{address} takes connections"));
            }
        }
        let (host, port) = (&self.host, self.port);
        let cure = match self.is_proxy {
            true => "See whether fal.proxy names the right port.",
            false => {
                "See whether a firewall lets this machine out; where it has to go through a proxy, \
                 set fal.proxy."
            }
        };
        Wrong(
            Way,
            format!("nobody answers at {host}, port {port}. {cure}"),
        )
    }

    fn setting(&self) -> &'static str {
        if self.is_proxy {
            "fal.proxy"
        } else {
            "fal.url"
        }
    }
}

/// What the application says to an input with nothing in it, which costs nothing.
pub(super) async fn knock(client: &FalClient, app: &str, key: &FalKey) -> Result<Knock, Finding> {
    const LIMIT: Duration = Duration::from_secs(30);
    match client.knock(app, key, LIMIT).await {
        Ok(knock) => Ok(knock),
        Err(UpstreamError::Unreachable(obstacle)) => Err(Wrong(Way, of_obstacle(obstacle))),
        Err(UpstreamError::ConnectTimedOut) => Err(Wrong(
            Way,
            "connecting takes longer than fal.connect_timeout. See whether the network is slow, or a \
             firewall drops what it should refuse."
                .to_owned(),
        )),
        Err(UpstreamError::TimedOut) => Err(Wrong(
            Way,
            "fal takes the request and says nothing for 30 seconds. Try again later.".to_owned(),
        )),
        Err(UpstreamError::Unusable(_)) => Err(Wrong(
            Way,
            "what answers speaks no HTTP. See whether fal.url and fal.proxy are right.".to_owned(),
        )),
        Err(_) => Err(Wrong(
            Way,
            "the connection is closed without an answer. See whether something on the way does not \
             let requests through."
                .to_owned(),
        )),
    }
}

fn of_obstacle(obstacle: Obstacle) -> String {
    format!("cannot connect to fal: {obstacle}.")
}

/// Whether what answers is fal. `has_proxy` says whether `fal.proxy` is set.
pub(super) fn answers(knock: &Knock, has_proxy: bool) -> Finding {
    match knock.status {
        300..=399 => Wrong(
            Way,
            format!(
                "what answers leads elsewhere (status {}), which fal does not. A portal or a proxy \
                 wants something of you first.",
                knock.status
            ),
        ),
        407 if has_proxy => Wrong(Way, of_obstacle(Obstacle::ProxyLogin)),
        407 => Wrong(
            Way,
            "what answers is a proxy that wants a user and a password (status 407), and none is set. \
             Name it in fal.proxy, with both."
                .to_owned(),
        ),
        _ if !knock.is_json => Wrong(
            Way,
            format!(
                "what answers is not fal (status {}, no JSON). A proxy or a firewall answers in its \
                 place, or fal.url is wrong.",
                knock.status
            ),
        ),
        _ => Fine("what answers is fal".to_owned()),
    }
}

/// Whether fal takes the key.
pub(super) fn key(knock: &Knock, has_its_form: bool) -> Finding {
    let said = said(knock);
    match &knock.kind {
        RefusalKind::Key if !has_its_form => Wrong(
            Key,
            format!(
                "fal refuses the key, which is not of the form `id:secret`{said}. Copy all of it from \
                 https://fal.ai/dashboard/keys, without `Key` or `Bearer` before it."
            ),
        ),
        RefusalKind::Key => Wrong(
            Key,
            format!(
                "fal does not know the key{said}. See whether it was revoked, and make one at \
                 https://fal.ai/dashboard/keys."
            ),
        ),
        RefusalKind::Forbidden => Wrong(
            Key,
            format!(
                "the key may not use the application{said}. Give it that right, or take another."
            ),
        ),
        RefusalKind::Balance => Wrong(
            Balance,
            format!(
                "fal takes the key, but the account has no money{said}. Top it up at https://fal.ai/dashboard/billing."
            ),
        ),
        _ => Fine("fal takes it".to_owned()),
    }
}

/// That another application answers in the place of one that is not there.
pub(super) fn replaced(knock: &Knock, app: &str, instead: &str) -> Finding {
    let said = said(knock);
    Note(format!(
        "fal has no application {app}{said}; {instead} answers in its place, at its own price"
    ))
}

/// Whether the application is there. `setting` is the one that names it.
pub(super) fn application(knock: &Knock, app: &str, setting: &str) -> Finding {
    let said = said(knock);
    match &knock.kind {
        RefusalKind::UnknownApp => Wrong(
            Application,
            format!(
                "fal has no application {app}{said}. See whether {setting} is right; fal may have given it up."
            ),
        ),
        RefusalKind::Busy => Note(format!(
            "{app} is there, but all places of the account are taken{said}"
        )),
        RefusalKind::Unavailable | RefusalKind::Failed | RefusalKind::TimedOut => Wrong(
            Application,
            format!(
                "{app} has trouble (status {}){said}. Try again later, and see https://status.fal.ai.",
                knock.status
            ),
        ),
        RefusalKind::Unexpected if !(200..300).contains(&knock.status) => Wrong(
            Application,
            format!(
                "{app} answers with status {}, which it should not{said}",
                knock.status
            ),
        ),
        _ => Fine(format!("{app} answers")),
    }
}

fn said(knock: &Knock) -> String {
    let said = knock.said.as_ref();
    said.map_or_else(String::new, |said| format!(" (\"{said}\")"))
}

/// How far this machine's clock is from fal's.
pub(super) fn clock(knock: &Knock) -> Option<Finding> {
    const MUCH: Duration = Duration::from_secs(60);
    let theirs = httpdate::parse_http_date(knock.date.as_ref()?).ok()?;
    let (apart, word) = match SystemTime::now().duration_since(theirs) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(behind) => (behind.duration(), "behind"),
    };
    Some(match apart > MUCH {
        true => Note(format!(
            "this machine's clock is {} seconds {word} fal's; certificates and tokens go by it. Let \
             it be set over the network.",
            apart.as_secs()
        )),
        false => Fine("this machine's clock agrees with fal's".to_owned()),
    })
}

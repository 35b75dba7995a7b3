//! Requests of all kinds, for a gateway that counts which paths they take.

use std::path::Path;
use std::time::Duration;

use crate::peer::{Kind, Peer, Setup};
use crate::upstream::Upstream;
use crate::{Outcome, load, soak};

/// How long mixed requests are sent at the end.
const MIXED: Duration = Duration::from_secs(10);
/// Streams that are open at once.
const STREAMS: usize = 500;

/// Asks for what every figure asks for, and then for answers of all kinds, faults among them.
///
/// # Errors
/// The gateway gives a wrong answer, or is gone.
pub(crate) async fn run(gateway: &Path, upstream: &Upstream) -> Outcome<()> {
    for setup in Setup::ALL {
        let peer = Peer::start(Kind::Gateway, setup, gateway, upstream).await?;
        load::measure(&peer, upstream, STREAMS, "").await?;
    }
    let mixed = soak::begin(gateway, MIXED).await?;
    tokio::time::sleep(MIXED).await;
    drop(mixed);
    Ok(())
}

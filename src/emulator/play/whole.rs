//! The body of an answer that is not streamed, and the ways in which it breaks.

use bytes::Bytes;

use super::{
    frame::Framing,
    perform::{Step, flood},
    snapshots::Snapshot,
};
use crate::emulator::script::{Behaviour, Break};

/// A body that is there at once, or one that has to be performed.
#[derive(Debug)]
pub(in crate::emulator) enum Body {
    Whole(Bytes),
    Steps(Vec<Step>),
}

/// The body for `snapshot`. Where a stream would break after so many events, a whole body breaks
/// in its middle.
pub(in crate::emulator) fn whole_steps(snapshot: &Snapshot, behaviour: &Behaviour) -> Body {
    let framing = Framing::new(behaviour);
    let body = Bytes::from(framing.body(snapshot));
    let half = body.slice(..body.len() / 2);
    if let Some(mib) = behaviour.flood_mib {
        return Body::Steps(flood(mib).collect());
    }
    match behaviour.rupture.map(|rupture| rupture.how) {
        None => Body::Whole(body),
        Some(Break::Stall) => Body::Steps(vec![Step::Bytes(half), Step::Silence]),
        Some(Break::Drop) => Body::Steps(vec![Step::Bytes(half), Step::Cut]),
        Some(Break::Eof) => Body::Whole(half),
        Some(Break::Garbage) => Body::Whole(Bytes::from_static(b"{\"output\": half a thought")),
        Some(Break::BadUtf8) => {
            let bad = b"{\"output\":\"\xff\",\"reasoning\":null,\"partial\":false,\"error\":null}";
            Body::Whole(Bytes::from_static(bad))
        }
        Some(Break::Error) => {
            let error = Some("Upstream provider failed to answer".to_owned());
            Body::Whole(
                framing
                    .body(&Snapshot {
                        error,
                        ..snapshot.clone()
                    })
                    .into(),
            )
        }
    }
}

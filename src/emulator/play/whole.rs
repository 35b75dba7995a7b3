//! The body of an answer that is not streamed, and the ways in which it breaks.

use bytes::Bytes;

use super::{
    frame::{Form, Framing},
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
pub(in crate::emulator) fn whole_steps(
    snapshot: &Snapshot,
    behaviour: &Behaviour,
    form: Form,
) -> Body {
    let framing = Framing::new(behaviour, form);
    whole_body(
        framing.body(snapshot).into(),
        behaviour,
        |broken| match broken {
            Break::BadUtf8 => {
                b"{\"output\":\"\xff\",\"reasoning\":null,\"partial\":false,\"error\":null}"
                    .to_vec()
            }
            _ => framing.body(&Snapshot {
                error: Some("Upstream provider failed to answer".to_owned()),
                ..snapshot.clone()
            }),
        },
    )
}

/// The steps of a whole body; `broken` writes one that is not text or that holds an error.
pub(in crate::emulator) fn whole_body(
    body: Bytes,
    behaviour: &Behaviour,
    broken: impl FnOnce(Break) -> Vec<u8>,
) -> Body {
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
        Some(how @ (Break::BadUtf8 | Break::Error)) => Body::Whole(broken(how).into()),
    }
}

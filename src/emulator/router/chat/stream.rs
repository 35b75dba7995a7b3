//! Plays chunks as a stream of events, broken where the script says so.

use bytes::Bytes;
use futures::{StreamExt, stream::LocalBoxStream};
use serde_json::{Value, json};

use super::{PROCESSING, write::failed_chunk};
use crate::emulator::{
    play::{Step, flood},
    script::{Behaviour, Break, Quirk},
};

/// The steps of a stream of `chunks`.
pub(super) fn steps(chunks: Vec<Value>, behaviour: Behaviour) -> LocalBoxStream<'static, Step> {
    let framing = Framing::new(&behaviour);
    let ends = !behaviour.has(Quirk::NoFinal);
    let steps = async_stream::stream! {
        yield Step::Bytes(framing.opening.clone());
        yield Step::Bytes(PROCESSING);
        yield Step::Wait(behaviour.first);
        let last = chunks.len().saturating_sub(1);
        for (sent, chunk) in chunks.iter().enumerate() {
            let rupture = behaviour.break_after(sent);
            match rupture {
                Some(Break::Stall) => yield Step::Silence,
                Some(Break::Drop) => yield Step::Cut,
                _ => {}
            }
            if sent == 1 && let Some(mib) = behaviour.flood_mib {
                for step in flood(mib) {
                    yield step;
                }
            }
            if sent > 0 {
                yield Step::Wait(behaviour.gap);
            }
            let event = framing.event(&chunk.to_string());
            match rupture {
                Some(Break::Eof) => {
                    yield Step::Last;
                    yield Step::Bytes(event.slice(..event.len() / 2));
                    return;
                }
                Some(Break::Error) => {
                    yield Step::Last;
                    yield Step::Event(framing.event(&failed_chunk(chunk).to_string()));
                    return;
                }
                Some(Break::Garbage) => yield Step::Event(framing.event("{\"choices\": half a tho")),
                Some(Break::BadUtf8) => yield Step::Event(framing.bad_utf8()),
                _ => {}
            }
            if sent == last && !ends {
                yield Step::Last;
            }
            for _ in 0..=behaviour.repeat {
                yield Step::Event(event.clone());
            }
        }
        if ends {
            yield Step::Last;
            yield Step::Event(framing.event("[DONE]"));
        }
    };
    steps.boxed_local()
}

/// The form of the events: data alone, LF, unless the script wants another.
struct Framing {
    opening: Bytes,
    line_end: &'static str,
    noise: bool,
    adds_fields: bool,
}

impl Framing {
    fn new(behaviour: &Behaviour) -> Framing {
        Framing {
            opening: Bytes::from_static(if behaviour.has(Quirk::Bom) {
                "\u{feff}".as_bytes()
            } else {
                b""
            }),
            line_end: if behaviour.has(Quirk::Cr) { "\r" } else { "\n" },
            noise: behaviour.has(Quirk::Noise),
            adds_fields: behaviour.has(Quirk::KeyOrder),
        }
    }

    fn event(&self, data: &str) -> Bytes {
        let end = self.line_end;
        let noise = match self.noise {
            true => format!(": noise{end}id: 7{end}retry: 3000{end}"),
            false => String::new(),
        };
        let data = match data.strip_prefix('{').filter(|_| self.adds_fields) {
            Some(rest) => format!("{{\"schema_version\":{},{rest}", json!(3)),
            None => data.to_owned(),
        };
        format!("{noise}data: {data}{end}{end}").into()
    }

    /// An event with a byte that is not UTF-8.
    fn bad_utf8(&self) -> Bytes {
        let event = self.event("{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"~\"}}]}");
        let bytes = event
            .iter()
            .map(|&byte| if byte == b'~' { 0xff } else { byte });
        bytes.collect::<Vec<u8>>().into()
    }
}

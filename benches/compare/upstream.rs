//! fal, as fast as it can be: answers that are ready beforehand, written to raw sockets.

use std::cell::Cell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::Outcome;
use crate::client::content_length;
use crate::scenario::{ALL, Scenario};

/// A running upstream.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    /// Events of paced streams that have been sent.
    pub(crate) paced_events: Rc<Cell<u64>>,
}

struct Prepared {
    scenario: Scenario,
    /// What is written at once: head and body, or the head and the events of a stream.
    pieces: Vec<Vec<u8>>,
}

type Answers = Rc<HashMap<&'static str, Prepared>>;

/// Listens on a free port of the loopback.
pub(crate) async fn start() -> Outcome<Upstream> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let paced_events = Rc::new(Cell::new(0));
    let answers: Answers = Rc::new(
        ALL.map(|scenario| (scenario.name, prepare(scenario)))
            .into(),
    );
    let counter = paced_events.clone();
    tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            // A peer that closes is no error here.
            tokio::task::spawn_local(serve(stream, answers.clone(), counter.clone()));
        }
    });
    Ok(Upstream {
        address,
        paced_events,
    })
}

fn prepare(scenario: Scenario) -> Prepared {
    let head = |rest: &str| {
        format!("HTTP/1.1 200 OK\r\nx-fal-request-id: 01a2019d\r\n{rest}\r\n\r\n").into_bytes()
    };
    if !scenario.is_stream() {
        let body = scenario.whole_body();
        let head = head(&format!(
            "content-type: application/json\r\ncontent-length: {}",
            body.len()
        ));
        return Prepared {
            scenario,
            pieces: vec![[head, body.into_bytes()].concat()],
        };
    }
    let head = head("content-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked");
    let end = b"0\r\n\r\n".to_vec();
    let chunks = scenario.chunks();
    let pieces = match scenario.pause_ms {
        0 => vec![[head, chunks.concat(), end].concat()],
        _ => std::iter::once(head).chain(chunks).chain([end]).collect(),
    };
    Prepared { scenario, pieces }
}

async fn serve(mut stream: TcpStream, answers: Answers, paced: Rc<Cell<u64>>) -> Option<()> {
    let mut request = Vec::with_capacity(4096);
    loop {
        request.clear();
        while !is_complete(&request) {
            if stream.read_buf(&mut request).await.ok()? == 0 {
                return None;
            }
        }
        let asked = Scenario::asked_for(&String::from_utf8_lossy(&request))?;
        let answer = answers.get(asked.name)?;
        for (number, piece) in answer.pieces.iter().enumerate() {
            if number > 1 && answer.scenario.pause_ms > 0 {
                tokio::time::sleep(Duration::from_millis(answer.scenario.pause_ms)).await;
            }
            stream.write_all(piece).await.ok()?;
            if number > 0 {
                paced.set(paced.get() + 1);
            }
        }
    }
}

fn is_complete(request: &[u8]) -> bool {
    let Some(end) = memchr::memmem::find(request, b"\r\n\r\n") else {
        return false;
    };
    request.len() >= end + 4 + content_length(&request[..end]).unwrap_or(0)
}

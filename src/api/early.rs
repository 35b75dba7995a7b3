//! Streams that begin before fal does.
//!
//! While nothing comes, a proxy on the way cuts the connection, and the client repeats a request that
//! may be paid for. So where fal's head takes longer than one heartbeat, a stream begins without it, and
//! what goes wrong from there on is told in it.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::body::{BoxBody, MessageBody};
use bytes::Bytes;
use futures::Stream;
use futures::future::LocalBoxFuture;
use tokio::time::timeout;

use super::error::ApiError;
use super::idempotency::Progress;
use super::respond::note_stream;
use crate::observe::record::Record;
use crate::translate::face::Face;

/// An answer that is being worked on.
pub type Work = LocalBoxFuture<'static, Result<HttpResponse, ApiError>>;

/// What ends a connection in the middle of an answer.
type Broken = Box<dyn std::error::Error>;

/// Waits for an answer. A stream for which fal is being asked is waited for one heartbeat long, and begins
/// then.
///
/// # Errors
/// What is wrong before the answer begins.
pub async fn answer<F: Face>(
    mut work: Work,
    progress: &Progress,
    heartbeat: Option<Duration>,
) -> Result<HttpResponse, ApiError> {
    let Some(heartbeat) = heartbeat else {
        return work.await;
    };
    let asked = poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(outcome) => Poll::Ready(Err(outcome)),
        Poll::Pending => match progress.take_stream() {
            Some(record) => Poll::Ready(Ok(record)),
            None => Poll::Pending,
        },
    });
    let record = match asked.await {
        Ok(record) => record,
        Err(outcome) => return outcome,
    };
    match timeout(heartbeat, &mut work).await {
        Ok(outcome) => return outcome,
        // Then it begins by itself: as a failure, with fal's first words, or one heartbeat later.
        Err(_) if progress.has_heard() => return work.await,
        Err(_) => {}
    }
    record.stream_begins();
    let mut response = HttpResponse::Ok();
    note_stream(&mut response);
    Ok(response.streaming(frames(work, record, F::FIRST_PING, heartbeat)))
}

/// Pings until the answer is there, and then the answer.
fn frames(
    work: Work,
    record: Record,
    ping: &'static [u8],
    heartbeat: Duration,
) -> impl Stream<Item = Result<Bytes, Broken>> {
    async_stream::stream! {
        let mut work = Some(work);
        let mut body = None;
        while let Some(waiting) = &mut work {
            yield Ok(Bytes::from_static(ping));
            if let Ok(outcome) = timeout(heartbeat, waiting).await {
                work = None;
                match outcome {
                    Ok(answer) => body = Some(answer.into_body()),
                    // Whoever fails in order says so in the stream.
                    Err(bug) => {
                        let (code, source) = bug.label();
                        record.error(code, source);
                        record.complete();
                        yield Err(Broken::from(bug.to_string()));
                    }
                }
            }
        }
        drop(record);
        if let Some(mut body) = body {
            while let Some(frames) = next(&mut body).await {
                yield frames;
            }
        }
    }
}

async fn next(body: &mut BoxBody) -> Option<Result<Bytes, Broken>> {
    poll_fn(|context| Pin::new(&mut *body).poll_next(context)).await
}

//! Work that goes on to its end when nobody waits for it any more.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::{Stream, StreamExt};

/// A stream that is read to its end, by a task of its own where its reader has left.
pub struct Outliving<S: Stream + 'static> {
    rest: Option<Pin<Box<S>>>,
    is_work: Box<dyn Fn() -> bool>,
}

impl<S: Stream + 'static> Outliving<S> {
    pub fn new(stream: S) -> Self {
        Self::once(stream, || true)
    }

    /// One that ends with its reader as long as this is not so.
    pub fn once(stream: S, is_work: impl Fn() -> bool + 'static) -> Self {
        Self {
            rest: Some(Box::pin(stream)),
            is_work: Box::new(is_work),
        }
    }
}

impl<S: Stream + 'static> Stream for Outliving<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let Some(rest) = &mut self.rest else {
            return Poll::Ready(None);
        };
        let polled = rest.as_mut().poll_next(context);
        if let Poll::Ready(None) = polled {
            self.rest = None;
        }
        polled
    }
}

impl<S: Stream + 'static> Drop for Outliving<S> {
    fn drop(&mut self) {
        if let Some(rest) = self.rest.take().filter(|_| (self.is_work)()) {
            actix_web::rt::spawn(rest.for_each(async |_| {}));
        }
    }
}

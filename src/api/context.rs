//! What a handler works with.

use std::future::{Ready, ready};
use std::rc::Rc;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};

use super::error::ApiError;
use super::gateway::{Gateway, Worker};
use super::scope;
use super::snapshot::Snapshot;
use crate::translate::problem::Problem;
use crate::upstream::FalClient;

/// The service as one request sees it: what all requests share, the settings as they were when the
/// request began, and its worker's connections to fal. Handlers take it as an argument.
#[derive(Clone, Debug)]
pub struct Context {
    pub gateway: Arc<Gateway>,
    pub snapshot: Arc<Snapshot>,
    pub fal: Rc<FalClient>,
    /// Whether the console is shown on the listener that the request came to.
    pub has_console: bool,
}

impl Context {
    /// What a request that begins now works with.
    pub fn of(worker: &Worker) -> Self {
        Self {
            snapshot: worker.gateway.snapshot(),
            gateway: Arc::clone(&worker.gateway),
            fal: Rc::clone(&worker.fal),
            has_console: worker.has_console,
        }
    }
}

impl FromRequest for Context {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let scope = scope::scope(request).ok_or_else(|| ApiError::from(Problem::bug(false)));
        ready(scope.map(|scope| scope.context))
    }
}

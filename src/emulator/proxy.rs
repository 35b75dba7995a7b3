//! fal's proxy for browsers: the real address travels in a header, and the key stays on the server.
//! Source: fal docs, page "server-side integration" ("the proxy formula").

use actix_web::{
    http::{
        Method, Uri,
        header::{AUTHORIZATION, HeaderValue},
    },
    web::Data,
};

use super::{
    http::{
        call::{Call, Host, Reply, Whole},
        front::{parse_query, route},
    },
    server::State,
};

/// The key with which the proxy calls on when the emulator has none of its own.
const ANY_KEY: &str = "emulator:proxy";

/// Sends `call` on to the host it names.
pub(super) async fn answer(state: &Data<State>, call: Call) -> Reply {
    match redirect(state, call) {
        Ok(call) => route(state, call).await,
        Err(refusal) => refusal.into(),
    }
}

fn redirect(state: &State, mut call: Call) -> Result<Call, Whole> {
    if ![Method::GET, Method::POST, Method::PUT, Method::DELETE].contains(&call.method) {
        return Err(Whole::json(405, &"Method not allowed"));
    }
    let Some(target) = call.header("x-fal-target-url") else {
        return Err(Whole::json(400, &"Missing the x-fal-target-url header"));
    };
    let target: Uri = target.parse().map_err(|_| not_allowed())?;
    call.host = match target.host().unwrap_or_default() {
        "fal.run" => Host::Run,
        "queue.fal.run" => Host::Queue,
        "rest.fal.ai" | "rest.alpha.fal.ai" => Host::Rest,
        host if host.ends_with(".fal.ai") || host.ends_with(".fal.run") => {
            return Err(Whole::detail(404, "The emulator does not play this host"));
        }
        _ => return Err(not_allowed()),
    };
    call.path = target.path().trim_end_matches('/').to_owned();
    call.query = parse_query(target.query().unwrap_or_default());
    if !call.headers.contains_key(AUTHORIZATION) {
        let key = state.options.key.as_deref().unwrap_or(ANY_KEY);
        if let Ok(value) = HeaderValue::try_from(format!("Key {key}")) {
            call.headers.insert(AUTHORIZATION, value);
        }
    }
    Ok(call)
}

fn not_allowed() -> Whole {
    Whole::json(
        412,
        &"The x-fal-target-url header must point to fal.ai or fal.run",
    )
}

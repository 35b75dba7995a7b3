//! From the web framework to our own [`Call`] and back.
//!
//! There is one handler and our own routing behind it, not the framework's: the proxy and the path
//! prefixes that stand for fal's hosts must lead to the same routes.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{Method, StatusCode, header},
    web::{Bytes, Data, Query},
};
use futures::{StreamExt, future::LocalBoxFuture};
use uuid::Uuid;

use super::{
    call::{Call, Flow, Host, Reply, Whole},
    guard,
    record::{Arrival, Presence},
};
use crate::emulator::{inspect, platform, proxy, queue, run, server::State, storage};

/// Answers one request.
pub(in crate::emulator) async fn serve(
    state: Data<State>,
    request: HttpRequest,
    body: Bytes,
) -> HttpResponse {
    let (host, path) = split_host(request.path());
    if let Err(refusal) = guard::admit(&state.options, host, request.uri(), request.headers()) {
        return to_response(None, refusal.into());
    }
    if host == Host::Emulator {
        return to_response(
            None,
            inspect::answer(&state, request.method(), path, request.query_string()).await,
        );
    }
    let mut response = answer(&state, &request, body, host, path).await;
    if guard::gives_cors(&state.options, host) {
        for name in [
            header::ACCESS_CONTROL_ALLOW_ORIGIN,
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
        ] {
            let any = header::HeaderValue::from_static("*");
            response.headers_mut().insert(name, any);
        }
    }
    response
}

/// Answers a request for a path of fal's, and keeps it in the record.
async fn answer(
    state: &Data<State>,
    request: &HttpRequest,
    body: Bytes,
    host: Host,
    path: &str,
) -> HttpResponse {
    let request_id = Uuid::now_v7().to_string();
    let entry = state.recorder.open(&Arrival {
        request_id: &request_id,
        method: request.method().as_str(),
        path: request.path(),
        query: request.query_string(),
        headers: request.headers(),
        body: &body,
    });
    let presence = Presence::of(&entry);
    let call = Call {
        host,
        method: request.method().clone(),
        path: path.trim_end_matches('/').to_owned(),
        query: parse_query(request.query_string()),
        headers: request.headers().clone(),
        body,
        origin: origin(request),
        request_id: request_id.clone(),
        entry: entry.clone(),
    };
    let reply = if call.method == Method::OPTIONS {
        preflight(guard::gives_cors(&state.options, host)).into()
    } else {
        route(state, call).await
    };
    match reply {
        Reply::Whole(whole) => {
            entry.status(whole.status);
            presence.answered();
            let request_id = (!whole.anonymous).then_some(request_id.as_str());
            to_response(request_id, whole.into())
        }
        Reply::Flow(flow) => {
            entry.status(200);
            to_response(Some(&request_id), Reply::Flow(accompany(flow, presence)))
        }
    }
}

/// Leads a call to the part of fal it is meant for.
pub(in crate::emulator) fn route(
    state: &Data<State>,
    call: Call,
) -> LocalBoxFuture<'static, Reply> {
    let state = state.clone();
    Box::pin(async move {
        match call.host {
            Host::Run => run::answer(&state, &call).await,
            Host::Queue => queue::answer(&state, &call).await,
            Host::Rest | Host::Cdn => storage::answer(&state, &call).into(),
            Host::Platform | Host::OpenRouter => platform::answer(&state, &call).into(),
            Host::Proxy => proxy::answer(&state, call).await,
            // Our own pages are answered before a call is recorded; no proxy leads to them.
            Host::Emulator => Whole::detail(404, "Not Found").into(),
        }
    })
}

/// The host that a path's prefix stands for, and the path there.
fn split_host(path: &str) -> (Host, &str) {
    const PREFIXES: [(&str, Host); 6] = [
        ("/queue", Host::Queue),
        ("/rest", Host::Rest),
        ("/platform", Host::Platform),
        ("/openrouter.ai", Host::OpenRouter),
        ("/_emulator", Host::Emulator),
        ("/api/fal/proxy", Host::Proxy),
    ];
    for (prefix, host) in PREFIXES {
        match path.strip_prefix(prefix) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => return (host, rest),
            _ => {}
        }
    }
    let host = if path.starts_with("/files/") {
        Host::Cdn
    } else {
        Host::Run
    };
    (host, path)
}

/// The pairs of a query; one that cannot be read has none.
pub(in crate::emulator) fn parse_query(query: &str) -> Vec<(String, String)> {
    Query::<Vec<(String, String)>>::from_query(query)
        .map(Query::into_inner)
        .unwrap_or_default()
}

/// Our own address, in the words of the caller.
fn origin(request: &HttpRequest) -> String {
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    format!("http://{}", host.unwrap_or(request.app_config().host()))
}

/// Keeps the caller's presence beside a body until its last byte.
fn accompany(flow: Flow, presence: Presence) -> Flow {
    let mut body = flow.body;
    let accompanied = async_stream::stream! {
        let presence = presence;
        while let Some(chunk) = body.next().await {
            if chunk.is_err() {
                presence.answered();
                yield chunk;
                return;
            }
            yield chunk;
        }
        presence.answered();
    };
    Flow {
        headers: flow.headers,
        body: accompanied.boxed_local(),
    }
}

/// What fal's apps answer to a browser that asks first.
fn preflight(gives_cors: bool) -> Whole {
    let whole = Whole::empty(204);
    if !gives_cors {
        return whole;
    }
    whole
        .with("access-control-allow-methods", "*")
        .with("access-control-allow-headers", "*, Authorization")
        .with("access-control-max-age", "600")
}

fn to_response(request_id: Option<&str>, reply: Reply) -> HttpResponse {
    let (status, headers) = match &reply {
        Reply::Whole(whole) => (whole.status, &whole.headers),
        Reply::Flow(flow) => (200, &flow.headers),
    };
    let mut response = HttpResponse::build(
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
    );
    if let Some(request_id) = request_id {
        response.insert_header(("x-fal-request-id", request_id));
    }
    for (name, value) in headers {
        response.append_header((name.as_str(), value.as_str()));
    }
    match reply {
        Reply::Whole(whole) => response.body(whole.body),
        Reply::Flow(flow) => response.streaming(flow.body),
    }
}

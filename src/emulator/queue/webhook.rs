//! Tells a caller's webhook how its call ended, signed as fal signs. Source: fal docs, page
//! "webhooks".

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine, engine::general_purpose::URL_SAFE};
use ring::{
    digest::{SHA256, digest},
    signature::{Ed25519KeyPair, KeyPair},
};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::sleep;

use url::Url;

use crate::emulator::{
    http::{call::Whole, guard::is_loopback},
    options::Webhooks,
};

/// The seed of the signing key. It is no secret: everybody may sign as the emulator.
const SEED: [u8; 32] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25,
    26, 27, 28, 29, 30, 31,
];
const USER_ID: &str = "emulator-user";
/// fal allows 15 s for the first attempt.
const LIMIT: Duration = Duration::from_secs(15);
/// Pauses before further attempts; fal's take hours.
const RETRY_AFTER: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(1)];

/// What a webhook is told.
#[derive(Serialize)]
struct Notice<'a> {
    request_id: &'a str,
    gateway_request_id: &'a str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    payload: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_error: Option<&'static str>,
}

/// The public keys, as fal publishes them: base64url with padding, for readers that need it.
pub(in crate::emulator) fn jwks() -> Value {
    json!({ "keys": [{
        "kty": "OKP",
        "crv": "Ed25519",
        "alg": "EdDSA",
        "use": "sig",
        "kid": "emulator",
        "x": URL_SAFE.encode(key().public_key()),
    }] })
}

/// Whether a call that wants to be told at `url` is taken.
///
/// # Errors
///
/// A 400, and not a silence that a test would wait in.
pub(super) fn allow(url: &str, webhooks: Webhooks) -> Result<(), Whole> {
    let leads_here = || {
        let url = Url::parse(url).ok()?;
        let is_web = matches!(url.scheme(), "http" | "https");
        Some(is_web && is_loopback(url.host_str()?))
    };
    match webhooks {
        Webhooks::Any => Ok(()),
        Webhooks::Loopback if leads_here() == Some(true) => Ok(()),
        Webhooks::Loopback => Err(Whole::detail(
            400,
            "fal-gateway emulator: fal_webhook must lead to this machine (http://127.0.0.1:PORT/...); start the emulator with --webhooks any for other addresses",
        )),
    }
}

/// Tells `url` about `result`; tries again on a failure, but not on a redirect.
pub(super) async fn deliver(client: &reqwest::Client, url: &str, request_id: &str, result: &Whole) {
    let body = notice(request_id, result);
    for pause in RETRY_AFTER.map(Some).into_iter().chain([None]) {
        let timestamp = unix_seconds().to_string();
        let answer = client
            .post(url)
            .timeout(LIMIT)
            .header("content-type", "application/json")
            .header("x-fal-webhook-request-id", request_id)
            .header("x-fal-webhook-user-id", USER_ID)
            .header(
                "x-fal-webhook-signature",
                sign(request_id, USER_ID, &timestamp, &body),
            )
            .header("x-fal-webhook-timestamp", timestamp)
            .body(body.clone())
            .send()
            .await;
        let settled = answer
            .is_ok_and(|answer| answer.status().is_success() || answer.status().is_redirection());
        let (false, Some(pause)) = (settled, pause) else {
            return;
        };
        sleep(pause).await;
    }
}

fn notice(request_id: &str, result: &Whole) -> Vec<u8> {
    let payload: Option<Value> = serde_json::from_slice(&result.body).ok();
    let failed = result.status >= 400;
    let unreadable = payload.is_none() && !failed;
    let notice = Notice {
        request_id,
        gateway_request_id: request_id,
        status: if failed { "ERROR" } else { "OK" },
        error: failed.then(|| format!("Invalid status code: {}", result.status)),
        payload,
        payload_error: unreadable.then_some(
            "Response payload is not JSON serializable. Either return a JSON serializable object or use the queue endpoint to retrieve the response.",
        ),
    };
    serde_json::to_vec(&notice).expect("our own types serialize")
}

/// The signature over the request's id, user, time and the hash of its body, one per line, in hex.
fn sign(request_id: &str, user_id: &str, timestamp: &str, body: &[u8]) -> String {
    let body_hash = hex(digest(&SHA256, body).as_ref());
    let message = format!("{request_id}\n{user_id}\n{timestamp}\n{body_hash}");
    hex(key().sign(message.as_bytes()).as_ref())
}

fn key() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&SEED).expect("a seed of 32 bytes makes a key")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::sign;

    /// Computed with another implementation of ED25519, from the same seed.
    #[test]
    fn the_signature_is_the_one_others_compute() {
        let id = "00000000-0000-4000-8000-000000000001";
        let body = format!(
            r#"{{"request_id":"{id}","gateway_request_id":"{id}","status":"OK","payload":{{"output":"hi"}}}}"#
        );
        let expected = "5c6a274078e19c012f69391bfd1ab6f5a29f4c7306f7226c221c1683c6d3e022\
                        c529d2d6ba68c095f192789039076f6073b5a36f785124cbde88a3d3768aa909";
        assert_eq!(sign(id, "user-1", "1735689600", body.as_bytes()), expected);
    }
}

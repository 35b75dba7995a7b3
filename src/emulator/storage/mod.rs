//! `rest.fal.ai` and the file store: uploads in the ways fal's clients know, tokens, and the key
//! that verifies webhooks. Source: fal's Python and JavaScript clients.

mod files;

pub(super) use files::Files;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    http::{
        call::{Call, Host, Whole},
        kinds::{self, Mention},
    },
    llm::Variant,
    queue::jwks,
    server::State,
};

/// When our tokens expire: never in anybody's test.
const EXPIRES_AT: &str = "2099-01-01T00:00:00+00:00";

/// Answers a call to `rest.fal.ai` or to the file store.
pub(super) fn answer(state: &State, call: &Call) -> Whole {
    let segments = call.segments();
    if call.host == Host::Cdn || segments.first() == Some(&"files") {
        return answer_files(state, call, &segments);
    }
    if segments == [".well-known", "jwks.json"] {
        return Whole::json(200, &jwks());
    }
    if let Err(refusal) = admit(state, call) {
        return refusal;
    }
    match (call.method.as_str(), segments.as_slice()) {
        ("POST", ["storage", "upload", "initiate" | "initiate-multipart"]) => initiate(state, call),
        ("POST", ["storage", "auth", "token"]) => Whole::json(
            200,
            &json!({
                "token": state.keys.token(),
                "token_type": "Bearer",
                "base_url": call.origin,
                "expires_at": EXPIRES_AT,
            }),
        ),
        ("POST", ["tokens"] | ["tokens", "realtime"]) => Whole::json(201, &state.keys.token()),
        _ => Whole::detail(404, "Not Found"),
    }
}

fn admit(state: &State, call: &Call) -> Result<(), Whole> {
    state.keys.admit(call).map_err(|name| {
        let kind = kinds::find(name).expect("the door's refusals are in the table");
        kind.reply(&Mention {
            app: "storage",
            variant: Variant::Plain,
            input: &Value::Null,
        })
    })
}

/// Gives out the address to upload to and the one to use afterwards. The first is open to whoever
/// knows it: fal's JavaScript client uploads without a key.
fn initiate(state: &State, call: &Call) -> Whole {
    let body: Value = serde_json::from_slice(&call.body).unwrap_or_default();
    let text = |field| body.get(field).and_then(Value::as_str);
    let name = text("file_name").unwrap_or("file");
    let content_type = text("content_type").unwrap_or("application/octet-stream");
    let path = state.files.reserve(name, content_type);
    Whole::json(
        200,
        &json!({
            "upload_url": format!("{}{path}?signature=emulated", call.origin),
            "file_url": format!("{}{path}", call.origin),
        }),
    )
}

fn answer_files(state: &State, call: &Call, segments: &[&str]) -> Whole {
    let files = &state.files;
    let bytes = || call.body.clone();
    match (call.method.as_str(), segments) {
        ("POST", ["files", "upload", rest @ ..]) => {
            admit(state, call).map_or_else(|refusal| refusal, |()| upload(state, call, rest))
        }
        ("GET", ["files", id, _]) => match files.read(id) {
            Some((content_type, bytes)) => Whole::new(200, &content_type, bytes),
            None => not_found(),
        },
        ("PUT", ["files", id, _]) => done(files.write(id, bytes()), json!({})),
        // The parts of the JavaScript client, then those of the Python client.
        ("PUT", ["files", id, _, number] | ["files", id, _, "multipart", _, number]) => {
            let Ok(number) = number.parse::<u32>() else {
                return not_found();
            };
            let etag = Uuid::new_v4().simple().to_string();
            let body = json!({ "partNumber": number, "etag": etag });
            done(files.write_part(id, number, bytes()), body).with("etag", format!("\"{etag}\""))
        }
        ("POST", ["files", id, _, "complete"] | ["files", id, _, "multipart", _, "complete"]) => {
            done(files.join(id), json!({}))
        }
        _ => not_found(),
    }
}

/// The Python client's own way: the file at once, or the start of one in parts.
fn upload(state: &State, call: &Call, rest: &[&str]) -> Whole {
    let name = call.header("x-fal-file-name").unwrap_or("file");
    let path = state.files.reserve(name, &call.content_type());
    let access_url = format!("{}{path}", call.origin);
    match rest {
        [] => {
            let id = path.split('/').nth(2).unwrap_or_default();
            done(
                state.files.write(id, call.body.clone()),
                json!({ "access_url": access_url }),
            )
        }
        ["multipart"] => Whole::json(
            200,
            &json!({ "access_url": access_url, "uploadId": Uuid::new_v4().simple().to_string() }),
        ),
        _ => not_found(),
    }
}

fn done(stored: bool, body: Value) -> Whole {
    if stored {
        Whole::json(200, &body)
    } else {
        not_found()
    }
}

fn not_found() -> Whole {
    Whole::detail(404, "Not Found")
}

//! The emulator's own pages under `/_emulator`: what it was asked, and how to script it.

use std::{fmt::Write, time::Duration};

use actix_web::http::Method;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::{
    http::{
        call::{Reply, Whole},
        front::parse_query,
        kinds::ERROR_KINDS,
    },
    router::cards::CARDS,
    script::WORDS,
    server::State,
};

/// Longest time that a question waits for its answer.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Answers a request for one of the pages.
pub(super) async fn answer(state: &State, method: &Method, path: &str, query: &str) -> Reply {
    let wait = parse_query(query)
        .into_iter()
        .find(|(key, _)| key == "wait")
        .map(|(_, value)| value);
    let segments: Vec<&str> = path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .collect();
    let whole = match (method.as_str(), segments.as_slice()) {
        ("GET", [] | ["help"]) => Whole::new(200, "text/plain; charset=utf-8", help()),
        ("GET", ["requests"]) => {
            let least = wait.and_then(|count| count.parse().ok()).unwrap_or(0);
            let enough = || Some(state.recorder.list()).filter(|list| list.len() >= least);
            let list = wait_for(state, enough)
                .await
                .unwrap_or_else(|| state.recorder.list());
            Whole::json(200, &list)
        }
        ("DELETE", ["requests"]) => {
            state.recorder.clear();
            Whole::empty(204)
        }
        ("GET", ["requests", id]) => {
            match find(state, id, wait.as_deref() == Some("ended")).await {
                Some(record) => Whole::json(200, &record),
                None => Whole::detail(404, "No such request"),
            }
        }
        _ => Whole::detail(404, "Not Found"),
    };
    whole.into()
}

async fn find(state: &State, id: &str, ended: bool) -> Option<Value> {
    let now = || state.recorder.find(id);
    let satisfied = || now().filter(|(_, over)| *over || !ended);
    // One that is not there will not come: its id was given out when it was recorded.
    now()?;
    let (record, _) = wait_for(state, satisfied).await.or_else(now)?;
    Some(record)
}

/// Waits until the record makes `look` see something.
async fn wait_for<T>(state: &State, look: impl Fn() -> Option<T>) -> Option<T> {
    let mut changes = state.recorder.watch();
    let deadline = Instant::now() + LONGEST_WAIT;
    loop {
        changes.mark_unchanged();
        if let Some(seen) = look() {
            return Some(seen);
        }
        timeout_at(deadline, changes.changed()).await.ok()?.ok()?;
    }
}

fn help() -> String {
    let mut page = String::from(
        "fal-gateway emulator\n\n\
         Applications, directly, at /stream, and below /queue:\n\
         \x20 /fal-ai/any-llm, with /vision, /enterprise\n\
         \x20 /openrouter/router, with /vision, /audio, /video, /enterprise, /video/enterprise\n\
         \x20 /openrouter/router/openai/v1/chat/completions (messages, and \"stream\": true)\n\
         Uploads are below /rest and /files, fal's proxy for browsers at /api/fal/proxy, fal's platform\n\
         API at /platform/v1 and OpenRouter's list of models at /openrouter.ai/api/v1/models.\n\n\
         Script a request with words, in the header \"x-emulate: WORD WORD\" or on a line\n\
         \"/emulate WORD WORD\" of its prompt or system_prompt, which is taken out before the answer\n\
         is made. DUR is 200ms or 1.5s. What was asked: GET /_emulator/requests (?wait=N),\n\
         GET /_emulator/requests/ID (?wait=ended), DELETE /_emulator/requests.\n\n\
         Messages it understands: echo TEXT, count N, long N, describe, reason, unicode, markdown,\n\
         json, recall. A system prompt that lists tools and shows the form of a call gets calls, if\n\
         the message seems to ask for one or says: call NAME {json} and NAME, then use NAME. One that\n\
         states a JSON schema gets JSON. The words tool:… and json:… make that go wrong.\n\nWords\n\n",
    );
    for word in WORDS {
        let form = match word.value {
            "" => word.name.to_owned(),
            value => match value.strip_prefix('[') {
                Some(optional) => format!("{}[:{optional}", word.name),
                None => format!("{}:{value}", word.name),
            },
        };
        // Writing to a String cannot fail.
        let _ = writeln!(page, "  {form:<18} {}", word.about);
    }
    page.push_str("\nErrors, as error:KIND\n\n");
    for kind in ERROR_KINDS {
        let _ = writeln!(page, "  {:<24} HTTP {}", kind.name, kind.status);
    }
    page.push_str("\nModels of the router, and what they can\n\n");
    for card in CARDS {
        let _ = writeln!(page, "  {:<36} {}", card.id, card.abilities().join(", "));
    }
    page
}

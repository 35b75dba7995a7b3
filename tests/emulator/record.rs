//! The record: what was asked, what was sent, and who left first.

use serde_json::json;

use crate::harness::{Fal, send};

#[tokio::test]
async fn the_record_holds_the_request_without_its_secret() {
    let fal = Fal::start().await;
    fal.ask("hello /emulate lf").await;
    let records = fal.get("/_emulator/requests?wait=1").await.json();
    let record = &records[0];
    assert_eq!(record["method"], "POST");
    assert_eq!(record["path"], "/fal-ai/any-llm");
    assert_eq!(record["body"], json!({ "prompt": "hello /emulate lf" }));
    assert_eq!(
        (&record["status"], &record["outcome"]),
        (&json!(200), &json!("answered"))
    );
    let shown = record["headers"]["authorization"].as_str().unwrap();
    assert!(shown.starts_with("Key sha256:") && !records.to_string().contains("ksecret"));
    let number = fal
        .get(&format!("/_emulator/requests/{}", record["id"]))
        .await
        .json();
    assert_eq!(number["request_id"], record["request_id"]);
    assert_eq!(
        send(fal.request("DELETE", "/_emulator/requests"))
            .await
            .status,
        204
    );
    assert_eq!(fal.get("/_emulator/requests").await.json(), json!([]));
    assert_eq!(
        fal.get("/_emulator/requests/nobody?wait=ended")
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn a_caller_that_leaves_a_stream_is_noticed() {
    let fal = Fal::start().await;
    let input = json!({ "prompt": "echo abcdef /emulate size:1 stall:2" });
    let mut answer = fal
        .post("/fal-ai/any-llm/stream", &input)
        .send()
        .await
        .unwrap();
    answer.chunk().await.unwrap();
    let request_id = answer.headers()["x-fal-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let open = fal
        .get(&format!("/_emulator/requests/{request_id}"))
        .await
        .json();
    assert_eq!(open["outcome"], "open");
    drop(answer);
    let ended = fal.ended(&request_id).await;
    assert_eq!(ended["outcome"], "hung_up");
    assert!(ended["hung_up_after_ms"].is_u64());
    assert!(ended["events_sent"].as_u64().unwrap() <= 2);
}

#[tokio::test]
async fn a_caller_that_leaves_before_the_head_is_noticed() {
    let fal = Fal::start().await;
    let call = tokio::spawn(
        fal.post("/fal-ai/any-llm", &json!({ "prompt": "hi /emulate hang" }))
            .send(),
    );
    let records = fal.get("/_emulator/requests?wait=1").await.json();
    call.abort();
    let ended = fal.ended(records[0]["request_id"].as_str().unwrap()).await;
    assert_eq!(ended["outcome"], "hung_up");
    assert_eq!(ended["status"], json!(null));
}

#[tokio::test]
async fn a_complete_stream_counts_its_events() {
    let fal = Fal::start().await;
    let streamed = fal.stream("echo abcdef /emulate size:1").await;
    let record = fal.get("/_emulator/requests").await.json()[0].clone();
    let ended = fal.ended(record["request_id"].as_str().unwrap()).await;
    assert_eq!(ended["outcome"], "answered");
    assert_eq!(ended["events_sent"], streamed.events().len());
}

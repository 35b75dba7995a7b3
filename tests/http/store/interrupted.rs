//! Jobs whose gateway is interrupted at a bad moment: nothing is asked of fal twice or for nobody, every
//! job ends, and what it cost is charged once.

use std::time::Duration;

use fal_gateway::store::responses::{
    Begun, Cancelled, Kept, NewJob, NewResponse, Owner, Responses, Submission,
};
use fal_gateway::store::{Database, Transaction};
use serde_json::json;

use super::background::{background, submissions};
use super::killed::{ended, lasting, serving, status};
use super::ledger::{rows, soon};
use super::responses::{get, id, post, request, with};
use super::{Place, places, run};
use crate::support::{Call, Emulated, Raw, ScriptedUpstream, Step, until};

pub(super) fn change(place: &Place, sql: &'static str) -> u64 {
    let write = async move |transaction: &Transaction<'_>| transaction.execute(sql, &[]).await;
    run(place.open().write(soon(), write)).unwrap()
}

/// The responses that there are jobs for.
pub(super) fn jobs(place: &Place) -> Vec<String> {
    let read = async move |transaction: &Transaction<'_>| {
        let all = "select response from job";
        let rows = transaction.query(all, &[]).await?;
        rows.into_iter().map(|mut row| row.text(0)).collect()
    };
    run(place.open().read(soon(), read)).unwrap()
}

fn until_no_job(place: &Place) {
    for _ in 0..2 {
        let seen = std::panic::catch_unwind(|| {
            until("no job", || jobs(place).is_empty().then_some(()));
        });
        if seen.is_ok() {
            return;
        }
    }
    panic!("{:?} never ended", jobs(place));
}

pub(super) fn new_response() -> NewResponse {
    NewResponse {
        id: "resp_1".to_owned(),
        parent: None,
        conversation: None,
        status: "queued",
        head: "{".to_owned(),
        tail: "}".to_owned(),
        input: Vec::new(),
        output: Vec::new(),
        retention: Duration::from_secs(60),
    }
}

pub(super) fn new_job() -> NewJob {
    NewJob {
        terms: "{}".to_owned(),
        body: "{}".to_owned(),
        needs_key: false,
        limit: Duration::from_secs(60),
        most: 10,
        most_of_owner: 10,
        may_evict_others: true,
        events: None,
    }
}

pub(super) fn call() -> Submission {
    Submission {
        position: 0,
        choice: 0,
        app: "app".to_owned(),
        path: String::new(),
        model: "model".to_owned(),
        request_id: None,
        is_refused: false,
    }
}

pub(super) const LONG: Duration = Duration::from_secs(60);

pub(super) fn each(test: impl AsyncFn(&Responses, Database)) {
    let (_folder, places) = places();
    for place in places {
        let database = place.open();
        let responses = Responses::new(database.clone(), 1 << 20);
        run(test(&responses, database));
    }
}

#[test]
fn a_call_that_is_written_down_twice_is_one() {
    each(async |responses, _| {
        let owner = Owner::new("local");
        let begun = responses.begin(&owner, new_response(), new_job(), ("g", Duration::ZERO));
        assert_eq!(begun.await.unwrap(), Begun::Yes);
        for _ in 0..2 {
            assert!(responses.intend("g", "resp_1", call()).await.unwrap());
        }
        let taken = responses.take_over("h", LONG, "resp_1").await.unwrap();
        assert_eq!(taken.unwrap().submissions, [call()]);
        assert!(!responses.intend("g", "resp_1", call()).await.unwrap());
    });
}

#[test]
fn whoever_calls_off_a_job_whose_lease_is_over_settles_it() {
    each(async |responses, _| {
        let owner = Owner::new("local");
        for (lease, is_held) in [(Duration::ZERO, false), (LONG, true)] {
            let mut new = new_response();
            new.id = format!("resp_{is_held}");
            let id = new.id.clone();
            let begun = responses.begin(&owner, new, new_job(), ("g", lease));
            assert_eq!(begun.await.unwrap(), Begun::Yes);
            let off =
                responses.cancel(&owner, &id, LONG, |json| Some((json.into(), String::new())));
            let Cancelled::Now { unheld, .. } = off.await.unwrap() else {
                panic!("not called off");
            };
            assert_eq!(unheld.is_none(), is_held);
        }
    });
}

#[test]
fn what_is_undone_leaves_nothing_and_may_be_undone_twice() {
    each(async |responses, database| {
        let owner = Owner::new("local");
        let begun = responses.begin(&owner, new_response(), new_job(), ("g", LONG));
        assert_eq!(begun.await.unwrap(), Begun::Yes);
        assert!(responses.intend("g", "resp_1", call()).await.unwrap());
        for _ in 0..2 {
            responses.undo(&owner, "resp_1").await.unwrap();
        }
        assert!(responses.get(&owner, "resp_1").await.unwrap().is_none());
        let count = async |transaction: &Transaction<'_>| {
            let all = "select cast((select count(*) from job) + (select count(*) from submission) \
                       + (select count(*) from space) as bigint)";
            let row = transaction.first(all, &[]).await?;
            row.unwrap().integer(0)
        };
        assert_eq!(database.read(soon(), count).await.unwrap(), 0);
    });
}

#[test]
fn a_newcomer_makes_no_room_of_what_others_keep() {
    each(async |responses, _| {
        let big = |id: &str, bytes: usize| NewResponse {
            id: id.to_owned(),
            tail: "x".repeat(bytes),
            ..new_response()
        };
        for name in ["first", "second"] {
            let kept = responses.put(&Owner::new(name), big(name, 400 << 10)).await;
            assert_eq!(kept.unwrap(), Kept::Yes);
        }
        let newcomer = Owner::new("newcomer");
        let job = |may_evict_others| NewJob {
            may_evict_others,
            ..new_job()
        };
        let begun = responses.begin(&newcomer, big("new", 400 << 10), job(false), ("g", LONG));
        assert!(!matches!(begun.await, Ok(Begun::Yes)));
        for name in ["first", "second"] {
            let found = responses.get(&Owner::new(name), name).await.unwrap();
            assert!(found.is_some(), "{name}");
        }
        // Who is known does.
        let begun = responses.begin(&newcomer, big("new", 400 << 10), job(true), ("g", LONG));
        assert_eq!(begun.await.unwrap(), Begun::Yes);
    });
}

/// Has the server commit a job only after its gateway has given up waiting for that. No limit of a
/// statement holds for what is done at a commit.
#[cfg(feature = "postgres")]
const LATE: [&str; 2] = [
    "create function late() returns trigger language plpgsql as \
     'begin perform pg_sleep(3); return null; end'",
    "create constraint trigger late after insert on job deferrable initially deferred \
     for each row execute function late()",
];

#[cfg(feature = "postgres")]
#[test]
fn what_has_begun_although_its_client_was_told_that_it_has_not_is_undone() {
    let fal = Emulated::start();
    let place = Place::Server(crate::support::PostgresServer::database());
    let setup = with(fal.setup(), &place).set("store.timeout", "1s");
    let gateway = setup.start();
    until("a gateway that is ready", || {
        (get(&gateway, "resp_none").status == 404).then_some(())
    });
    for sql in LATE {
        change(&place, sql);
    }
    let count = |which: &'static str| {
        let read = async move |transaction: &Transaction<'_>| {
            let row = transaction.first(which, &[]).await?;
            row.unwrap().integer(0)
        };
        run(place.open().read(soon(), read)).unwrap()
    };
    until("a job that begins late", || {
        assert_eq!(gateway.call(&post(&background("Hello"))).status, 503);
        // Whoever has this lock after the job has seen what became of it.
        let committed = async |transaction: &Transaction<'_>| {
            let lock = "select cast(pg_advisory_xact_lock(17232091537986) as text)";
            transaction.query(lock, &[]).await.map(drop)
        };
        run(place.open().write(soon(), committed)).unwrap();
        (count("select count(*) from response") > 0).then_some(())
    });
    until("nothing is left of it", || {
        (count("select count(*) from response where deleted_at is null") == 0).then_some(())
    });
    assert_eq!(jobs(&place), [""; 0]);
    assert_eq!(submissions(&fal).len(), 0);
}

#[test]
fn a_request_that_never_reached_fal_does_not_reach_it_when_nobody_waits_any_more() {
    let (_folder, places) = lasting();
    for place in places {
        let fal = ScriptedUpstream::start(vec![Step::Read, Step::Hold]);
        let setup = with(fal.setup(), &place).set("fal.queue_url", &fal.url());
        let (first, address) = serving(&setup);
        let mut client = Raw::connect(address);
        client.send(&post(&background("Hello")).to_bytes());
        until("the call", || (fal.requests() == 1).then_some(()));
        let response = jobs(&place).remove(0);
        first.signal("KILL");
        drop(first);
        // As if the end had come a moment earlier.
        assert_eq!(change(&place, "delete from submission"), 1);
        let (_second, address) = serving(&setup);
        let failed = ended(address, &response);
        assert_eq!(failed["status"], "failed");
        assert_eq!(
            failed["error"]["type"], "submission_interrupted",
            "{failed}"
        );
        assert_eq!(fal.requests(), 1);
    }
}

#[test]
fn a_job_ends_also_when_its_response_is_not_shown_any_more() {
    let (_folder, places) = lasting();
    for place in places {
        let fal = Emulated::start();
        // Nobody shows the key again, so only the end of its time ends it.
        let setup = with(fal.setup().without_fal_key(), &place);
        let first = setup.clone().start();
        let own = post(&background("Hello /emulate hang"));
        let begun = first.call(&own.header("authorization", "Bearer kid:ksecret"));
        assert_eq!(begun.status, 200, "{}", begun.text());
        first.begin_stop();
        first.finished();
        assert_eq!(jobs(&place), [id(&begun.json())]);
        change(&place, "update response set expires_at = 1");
        change(&place, "update job set deadline = 1");
        let _second = setup.start();
        until_no_job(&place);
    }
}

#[test]
fn what_fell_back_to_another_model_goes_on_with_that() {
    // The first model is refused by the queue, or by the application behind it.
    for is_refused_at_once in [false, true] {
        let (_folder, places) = lasting();
        for place in places {
            let fal = Emulated::start();
            let setup = with(fal.setup(), &place).set("fal.upstream", "any-llm");
            let (mut first, address) = serving(&setup);
            let mut body = background("Hello /emulate latency:12s");
            body["model"] = "nobody/nothing".into();
            body["models"] = json!(["openai/gpt-4o"]);
            let mut client = Raw::connect(address);
            client.send(&post(&body).to_bytes());
            let begun = client.answer();
            assert_eq!(begun.status, 200, "{}", begun.text());
            let begun = id(&begun.json());
            until("the other model", || {
                (submissions(&fal).len() == 2).then_some(())
            });
            until("its id", || {
                let known = "update submission set refused = refused where request_id is not null";
                (change(&place, known) == 2).then_some(())
            });
            first.signal("TERM");
            first.exit();
            if is_refused_at_once {
                let refused =
                    "update submission set refused = 1, request_id = null where position = 0";
                assert_eq!(change(&place, refused), 1);
            }
            let (_second, address) = serving(&setup);
            let done = ended(address, &begun);
            assert_eq!(done["status"], "completed", "{done}");
            assert_eq!(done["model"], "openai/gpt-4o");
            assert_eq!(submissions(&fal).len(), 2);
        }
    }
}

#[test]
fn a_gateway_that_slept_beyond_its_lease_charges_nothing_that_another_one_has() {
    let (_folder, places) = lasting();
    for place in places {
        let fal = Emulated::start();
        let setup = with(fal.setup(), &place);
        let (mut first, address) = serving(&setup);
        let (mut second, other) = serving(&setup);
        let mut client = Raw::connect(address);
        client.send(&post(&background("Hello /emulate latency:2s")).to_bytes());
        let begun = id(&client.answer().json());
        first.signal("STOP");
        let done = ended(other, &begun);
        assert_eq!(done["status"], "completed", "{done}");
        first.signal("CONT");
        // It has looked at its leases once it serves again and has ended in order.
        assert_eq!(status(address, &begun)["status"], "completed");
        until("the end of its task", || {
            let log = first.log();
            let ended = log.lines().filter(|line| line.contains("\"background\""));
            (ended.count() > 0).then_some(())
        });
        for gateway in [&mut first, &mut second] {
            gateway.signal("TERM");
            gateway.exit();
        }
        assert_eq!(rows(&place.open()).len(), 1, "{place:?}");
        assert_eq!(submissions(&fal).len(), 1);
    }
}

#[test]
fn jobs_take_half_of_the_memory_for_bodies_and_leave_the_rest_to_those_who_wait() {
    let fal = Emulated::start();
    let gateway = fal
        .setup()
        .set("limits.max_body_memory", "1MiB")
        .set("server.max_body", "512KiB")
        .start();
    let long = "word ".repeat(60 << 10);
    let begun = gateway.call(&post(&background(&format!("{long} /emulate hang"))));
    assert_eq!(begun.status, 200, "{}", begun.text());
    let refused = gateway.call(&post(&background(&long)));
    assert_eq!(refused.status, 429, "{}", refused.text());
    let waited = gateway.call(&post(&request(long.clone().into())));
    assert_eq!(waited.status, 200, "{}", waited.text());
    // Once the first is called off, there is room again.
    let begun = id(&begun.json());
    let off = Call::new("POST", &format!("/v1/responses/{begun}/cancel"));
    assert_eq!(gateway.call(&off).status, 200);
    until("room for another", || {
        let again = gateway.call(&post(&background(&format!("{long} /emulate hang"))));
        (again.status == 200).then_some(())
    });
    assert_eq!(get(&gateway, &begun).json()["status"], "cancelled");
}

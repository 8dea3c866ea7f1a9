//! Webhooks: of events and of pictures that are enrolled later, to a receiver that is away at times, and picky at others.
#![cfg(feature = "media")]

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::support::curl::{curl, eventually_json};
use super::support::daemon::{Daemon, models, sample, sample_people};
use super::support::receiver::{Receiver, SECRET};
use super::support::wait::eventually;

/// One camera that shows the sample again and again, and these webhooks.
fn config(webhooks: &str) -> Option<String> {
    let clip = sample()?;
    let camera = format!("[cameras.front]\nuri = \"file://{}\"\nrepeat = true\n", clip.display());
    Some(format!("{}embedder = \"none\"\n{webhooks}{camera}", models()))
}

fn table(receiver: &Receiver, secret: &Path, rest: &str) -> String {
    let (url, secret) = (receiver.url(), secret.display());
    format!("[[webhooks]]\nurl = \"{url}\"\nsecret_file = \"{secret}\"\n{rest}")
}

fn seqs(events: &[Value]) -> Vec<u64> {
    events.iter().map(|event| event["boot_seq"].as_u64().unwrap()).collect()
}

fn holds_no_address(daemon: &Daemon) {
    assert!(daemon.log().iter().all(|entry| !entry.to_string().contains("visor-hook")), "no address in the log");
}

#[test]
fn a_receiver_that_was_away_gets_what_it_missed_and_one_that_refuses_is_counted() {
    let receiver = Receiver::open();
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, format!("{SECRET}\n")).unwrap();
    let elsewhere = table(&receiver, &secret, "cameras = [\"nowhere\"]\n");
    let Some(config) = config(&(table(&receiver, &secret, "") + &elsewhere)) else { return };
    let daemon = Daemon::start(&config);
    eventually("the first events", || (receiver.taken().len() >= 3).then_some(()));

    receiver.answer("503 Service Unavailable\r\nRetry-After: 2");
    let refused = receiver.refuses_another();
    daemon.wait_for_log("the receiver takes no events; they wait", |entry| entry["webhook"] == 1);
    receiver.answer("204 No Content");
    let before = receiver.taken().len();
    eventually("what was missed", || (receiver.taken().len() >= before + 3).then_some(()));
    let taken = seqs(&receiver.taken());
    assert!(taken.iter().copied().eq(1..=taken.len() as u64), "each once and in order: {taken:?}");
    let again = receiver.heard().into_iter().find(|heard| heard.taken && heard.json == refused.json).unwrap();
    assert!(again.at - refused.at >= Duration::from_millis(1900), "Retry-After: 2, and it came back too soon");
    daemon.wait_for_log("the receiver takes events again", |entry| entry["webhook"] == 1);
    let lost = || daemon.metric("visor_events_lost_total", &["sink=\"webhook\"", "reason=\"refused\""]);
    assert_eq!(daemon.metric("visor_events_lost_total", &["webhook"]), 0.0);

    // What is wrong with an event does not pass: it is gone, and the next one has its turn.
    receiver.answer("422 Unprocessable Content");
    let unwanted = receiver.refuses_another();
    let next = receiver.refuses_another();
    assert_ne!(unwanted.json["boot_seq"], next.json["boot_seq"], "asked again although it may not pass");
    eventually("losses that are counted", || (lost() >= 2.0).then_some(()));
    let told = daemon.wait_for_log("events lost: the receiver does not want them", |_| true);
    assert_eq!(told["error"], "the address answers with status 422", "{told}");
    receiver.answer("204 No Content");
    let before = receiver.taken().len();
    eventually("later ones", || (receiver.taken().len() > before).then_some(()));
    holds_no_address(&daemon);
}

#[test]
fn what_waits_for_a_receiver_waits_on_over_a_reload_unless_that_is_gone() {
    let [first, second] = [Receiver::open(), Receiver::open()];
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, SECRET).unwrap();
    let Some(alone) = config(&table(&first, &secret, "")) else { return };
    let daemon = Daemon::start(&alone);
    let is_change = |entry: &Value| entry["message"] == "configuration reloaded" && entry["changes"] == "webhooks";
    let reloaded = |times| {
        let changes = || daemon.log().iter().filter(|entry| is_change(entry)).count();
        eventually("the reload", || (changes() == times).then_some(()));
    };
    let lost = || daemon.metric("visor_events_lost_total", &["sink=\"webhook\""]);
    eventually("the first events", || (first.taken().len() >= 3).then_some(()));

    first.answer("503 Service Unavailable");
    let refused = first.refuses_another();
    // another one comes before it, so that it is the second of the file now
    daemon.reload(&config(&(table(&second, &secret, "") + &table(&first, &secret, ""))).unwrap());
    reloaded(1);
    eventually("events for the new one", || (second.taken().len() >= 2).then_some(()));
    assert!(first.heard().last().is_some_and(|heard| !heard.taken));
    first.answer("204 No Content");
    let waited = |receiver: &Receiver| receiver.taken().contains(&refused.json);
    eventually("what has waited", || waited(&first).then_some(()));
    let taken = seqs(&first.taken());
    assert!(taken.iter().copied().eq(1..=taken.len() as u64), "each once and in order: {taken:?}");
    assert_eq!(lost(), 0.0);
    daemon.wait_for_log("the receiver takes events again", |entry| entry["webhook"] == 2);

    second.answer("503 Service Unavailable");
    second.refuses_another();
    daemon.reload(&alone);
    reloaded(2);
    assert!(lost() >= 1.0, "what waited for one that is gone");
    let before = first.taken().len();
    eventually("events for the one that stays", || (first.taken().len() > before).then_some(()));
    holds_no_address(&daemon);
}

#[test]
fn the_end_of_an_enrolment_is_told_to_a_receiver_that_comes_back() {
    let Some(people) = sample_people() else { return };
    let portrait = std::fs::read_dir(people.join("Robin")).unwrap().next().unwrap().unwrap().path();
    let receiver = Receiver::open();
    let daemon = Daemon::start(&format!(
        "{}[http]\nlisten = \"127.0.0.1:0\"\nfetch_allow = [\"{}\"]\n",
        models(),
        receiver.host
    ));
    eventually_json(&daemon, "/persons", |_| true);
    let enroll = |rest: &[&str]| {
        let (picture, url) = (format!("image=@{}", portrait.display()), format!("webhook_url={}", receiver.url()));
        let secret = format!("webhook_secret={SECRET}");
        let form = ["-F", &picture, "-F", &url, "-F", &secret];
        let accepted = curl(&daemon, "POST", "/faces/enroll_async", &[&form, rest].concat());
        assert_eq!(accepted.status, 202, "{accepted:?}");
        accepted.json["id"].as_str().unwrap().to_owned()
    };
    receiver.answer("503 Service Unavailable");
    let id = enroll(&["-F", "name=Robin"]);
    let refused = eventually("a try that is refused", || receiver.heard().into_iter().next());
    receiver.answer("200 OK");
    eventually("another try", || (!receiver.taken().is_empty()).then_some(()));
    assert_eq!(receiver.taken(), [json!({ "type": "enroll", "id": id, "status": "done" })]);
    assert_eq!(receiver.taken(), [refused.json], "the same as was refused");
    let failed = enroll(&["-F", "name=Robin", "-F", "min_quality=1"]);
    eventually("the end of the other one", || (receiver.taken().len() == 2).then_some(()));
    assert_eq!(receiver.taken()[1], json!({ "type": "enroll", "id": failed, "status": "failed" }));
    let deliveries = |outcome: &str| daemon.metric("visor_webhook_deliveries_total", &[outcome]);
    assert!(deliveries("retried") >= 1.0 && deliveries("delivered") == 2.0 && deliveries("given_up") == 0.0);
    holds_no_address(&daemon);
    assert!(daemon.stop().success());
}

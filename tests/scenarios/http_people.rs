//! Who is known, over HTTP: everything as a user does it, with curl.
#![cfg(feature = "media")]

use serde_json::{Value, json};

use super::support::curl::{curl, curl_json, eventually_json};
use super::support::daemon::{Daemon, models, sample_people};

/// A daemon whose gallery can be asked; `None`, aloud, without models.
fn daemon(rest: &str) -> Option<Daemon> {
    sample_people()?;
    let daemon = Daemon::start(&format!("{}{rest}", models()));
    eventually_json(&daemon, "/persons", |_| true);
    Some(daemon)
}

fn ids(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|person| person["id"].as_str().unwrap()).collect()
}

#[test]
fn people_are_made_changed_listed_and_forgotten() {
    let Some(daemon) = daemon("") else { return };
    let alice = json!({
        "name": "Alice Müller", "external_id": "hr/7", "tags": ["staff"], "metadata": {"desk": 4}, "expires_at": "2100-01-01T00:00:00Z"
    });
    let made = curl_json(&daemon, "POST", "/persons", &alice);
    assert_eq!((made.status, &made.json["id"], &made.json["face_count"]), (201, &"alice-muller".into(), &0.into()));
    assert_eq!(made.json["metadata"], json!({"desk": 4}));
    let again = curl_json(&daemon, "POST", "/persons", &alice);
    assert_eq!((again.status, &again.json["reason"]), (409, &"name_taken".into()));
    for (body, word) in [
        (json!({"name": "Bob", "external_id": "hr/7"}), "external id"),
        (json!({"name": "Bob", "nickname": "B"}), "nickname: unknown field"),
        (json!({"name": "Bob", "expires_at": "2001-01-01T00:00:00Z"}), "expires_at: is over already"),
        (json!({"name": "…"}), "no letter"),
    ] {
        let refused = curl_json(&daemon, "POST", "/persons", &body);
        assert!(refused.status == 400 || refused.status == 409, "{refused:?}");
        assert!(refused.json["detail"].as_str().unwrap().contains(word), "{refused:?}");
    }

    let of = curl(&daemon, "GET", "/persons/by_external_id/hr%2F7", &[]);
    assert_eq!((of.status, &of.json["id"]), (200, &"alice-muller".into()));
    for name in ["Bob", "Carol", "Dave"] {
        let person = json!({"name": name, "external_id": name.to_lowercase()});
        assert_eq!(curl_json(&daemon, "POST", "/persons", &person).status, 201);
    }
    let several = curl(&daemon, "GET", "/persons/by_external_ids?external_ids=bob,hr/7,nobody", &[]);
    assert_eq!(ids(&several.json), ["bob", "alice-muller"]);
    let first = curl(&daemon, "GET", "/persons?limit=3", &[]).json;
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = curl(&daemon, "GET", &format!("/persons?limit=3&cursor={cursor}"), &[]).json;
    assert_eq!((ids(&first), ids(&second)), (vec!["alice-muller", "bob", "carol"], vec!["dave"]));
    assert_eq!(second["next_cursor"], Value::Null);
    assert_eq!(ids(&curl(&daemon, "GET", "/persons?tag=staff", &[]).json), ["alice-muller"]);
    assert_eq!(ids(&curl(&daemon, "GET", "/persons?name=aro", &[]).json), ["carol"]);
    assert_eq!(curl(&daemon, "GET", "/persons?limit=0", &[]).status, 400);

    let changes = json!({"name": "Alice Maier", "external_id": null, "tags": []});
    let changed = curl_json(&daemon, "PUT", "/persons/alice-muller", &changes);
    assert_eq!((changed.status, &changed.json["name"]), (200, &"Alice Maier".into()));
    let read = curl(&daemon, "GET", "/persons/alice-muller", &[]).json;
    assert_eq!(
        (&read["external_id"], &read["tags"], &read["metadata"]),
        (&Value::Null, &json!([]), &json!({"desk": 4}))
    );
    assert_eq!(curl_json(&daemon, "PUT", "/persons/nobody", &json!({})).status, 404);

    assert_eq!(curl(&daemon, "DELETE", "/persons/bob", &[]).status, 204);
    assert_eq!(curl(&daemon, "DELETE", "/persons/bob", &[]).status, 404);
    assert_eq!(curl(&daemon, "GET", "/persons/bob", &[]).status, 404);
    assert_eq!(curl(&daemon, "GET", "/persons/by_external_id/bob", &[]).status, 404);
    assert!(!daemon.log().iter().any(|line| line.to_string().to_lowercase().contains("alice")), "a name in the log");
    assert!(daemon.stop().success());
}

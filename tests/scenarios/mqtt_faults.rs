//! A broker that is not there, goes, is cut off, refuses or is too far behind: no event is lost in silence.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::mqtt::{close, hub, settings};
use crate::support::broker::Broker;
use crate::support::faces::Camera;
use crate::support::proxy::Proxy;
use crate::support::recorder::{Recorder, check_delivery};
use crate::support::wait::{PATIENCE, eventually, soak_time};
use visor::sink::{Hub, mqtt};
use visor::units::Period;

#[test]
fn a_broker_that_is_absent_at_first_gets_everything_later() {
    let Some(mut broker) = Broker::absent() else { return };
    let proxy = Proxy::to(broker.port, false);
    let hub = hub(&format!("mqtt://127.0.0.1:{}", proxy.port), |_| {});
    let mut front = Camera::new(&hub, "front");
    front.publish(300);
    eventually("two attempts", || (proxy.accepted() >= 2).then_some(()));
    broker.start();
    let recorder = Recorder::at(broker.port);
    proxy.open();
    recorder.wait_for_seq("front", 300);
    check_delivery(&recorder.seqs("front"), 300, 0);
    recorder.wait_for("visor/status", "online");
    close(&hub);
}

#[test]
fn a_killed_broker_misses_nothing_once_it_is_back() {
    let Some(mut broker) = Broker::open() else { return };
    let proxy = Proxy::to(broker.port, true);
    let before = Recorder::at(broker.port);
    let hub = hub(&format!("mqtt://127.0.0.1:{}", proxy.port), |_| {});
    let mut front = Camera::new(&hub, "front");
    let mut back = Camera::new(&hub, "back");
    front.publish(100);
    back.publish(50);
    before.wait_for_seq("front", 100);
    before.wait_for_seq("back", 50);
    // Shut first, so that the new broker hears of the daemon only after the recorder listens.
    proxy.close();
    broker.kill();
    front.publish(400);
    back.publish(50);
    broker.start();
    let after = Recorder::at(broker.port);
    proxy.open();
    front.publish(100);
    after.wait_for_seq("front", 600);
    after.wait_for_seq("back", 100);
    for (camera, last) in [("front", 600), ("back", 100)] {
        let seqs = [before.seqs(camera), after.seqs(camera)].concat();
        check_delivery(&seqs, last, 1);
    }
    after.wait_for("visor/status", "online");
    after.wait_for("visor/back/faces", "1");
    after.wait_for("visor/front/detect/state", "ON");
    close(&hub);
}

#[test]
fn soak_a_connection_cut_anywhere_leaves_no_hole() {
    let Some(broker) = Broker::open() else { return };
    let proxy = Proxy::to(broker.port, true);
    let recorder = Recorder::at(broker.port);
    let hub = hub(&format!("mqtt://127.0.0.1:{}", proxy.port), |config| config.outbox = 1_000_000);
    let mut front = Camera::new(&hub, "front");
    recorder.wait_for("visor/status", "online");
    let end = Instant::now() + soak_time();
    let (mut published, mut cuts) = (0, 0);
    while Instant::now() < end {
        // Sometimes within the welcome, sometimes amid hundreds of events.
        proxy.cut_next(1, 1 << fastrand::usize(4..18));
        cuts += 1;
        eventually("the cut", || {
            front.publish(2);
            published += 2;
            (proxy.cuts_left() == 0).then_some(())
        });
    }
    proxy.cut();
    front.publish(100);
    published += 100;
    recorder.wait_for_seq("front", published);
    check_delivery(&recorder.seqs("front"), published, 2 * cuts + 1);
    eprintln!(
        "{published} events over {cuts} cuts, {} delivered again",
        recorder.seqs("front").len() as u64 - published
    );
    close(&hub);
}

#[test]
fn a_connection_that_freezes_is_left_and_its_late_bytes_do_no_harm() {
    let Some(broker) = Broker::open() else { return };
    let proxy = Proxy::to(broker.port, true);
    let recorder = Recorder::at(broker.port);
    let hub = hub(&format!("mqtt://127.0.0.1:{}", proxy.port), |config| config.keep_alive = Period::secs(1));
    let mut front = Camera::new(&hub, "front");
    front.publish(10);
    recorder.wait_for_seq("front", 10);
    let frozen = proxy.freeze();
    front.publish(200);
    recorder.wait_for_seq("front", 210);
    frozen.thaw();
    front.publish(10);
    recorder.wait_for_seq("front", 220);
    check_delivery(&recorder.seqs("front"), 220, 1);
    recorder.wait_for("visor/status", "online");
    close(&hub);
}

#[test]
fn a_broker_that_talks_nonsense_costs_a_connection_each_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let hub = hub(&format!("mqtt://{}", listener.local_addr().unwrap()), |_| {});
    let mut front = Camera::new(&hub, "front");
    front.publish(10);
    let welcome = [0x20, 2, 0, 0];
    let nonsense: [&[u8]; 7] = [
        &[],
        &[0x00],
        &[0xff; 16],
        &[0x40, 2, 0xff, 0xff],
        &[0x40, 0],
        &[0x32, 4, 0, 9, b'a', b'b'],
        &[0x30, 0xff, 0xff, 0xff, 0xff],
    ];
    for bytes in nonsense {
        let (mut client, _) = listener.accept().unwrap();
        client.write_all(&[&welcome, bytes].concat()).unwrap();
    }
    let (mut client, _) = listener.accept().unwrap();
    client.write_all(&welcome).unwrap();
    let mut heard = Vec::new();
    let mut buffer = [0; 4096];
    eventually("events after all that", || {
        let read = client.read(&mut buffer).unwrap();
        heard.extend_from_slice(&buffer[..read]);
        String::from_utf8_lossy(&heard).contains("\"seq\":10,").then_some(())
    });
    hub.close(Instant::now());
}

#[test]
fn settings_that_change_amid_events_leave_no_hole() {
    let Some(broker) = Broker::open() else { return };
    let recorder = Recorder::at(broker.port);
    let hub = hub(&broker.url(), |_| {});
    let mut front = Camera::new(&hub, "front");
    front.publish(100);
    let deadline = Instant::now() + PATIENCE;
    std::thread::scope(|scope| {
        let anew = scope.spawn(|| {
            hub.reopen(mqtt::NAME, &settings(&broker.url(), |c| c.stats_interval = Period::secs(1)), deadline)
        });
        while !anew.is_finished() {
            front.publish(1);
            std::thread::yield_now();
            if front.published() == 5000 {
                break;
            }
        }
        anew.join().unwrap().unwrap();
    });
    front.publish(100);
    let last = front.published();
    recorder.wait_for_seq("front", last);
    check_delivery(&recorder.seqs("front"), last, 0);
    recorder.wait_for("visor/status", "online");
    // those that went out under the settings of before count, too
    recorder.wait_for_json("visor/stats", |stats| stats["events_published_total"] == last);
    close(&hub);
}

#[test]
fn a_lost_connection_is_told_by_the_last_will() {
    let Some(broker) = Broker::open() else { return };
    let proxy = Proxy::to(broker.port, true);
    let recorder = Recorder::at(broker.port);
    let hub = hub(&format!("mqtt://127.0.0.1:{}", proxy.port), |_| {});
    recorder.wait_for("visor/status", "online");
    proxy.close();
    recorder.wait_for("visor/status", "offline");
    proxy.open();
    recorder.wait_for("visor/status", "online");
    close(&hub);
}

#[test]
fn what_the_outbox_cannot_hold_is_counted_and_published() {
    let Some(broker) = Broker::open() else { return };
    let proxy = Proxy::to(broker.port, false);
    let recorder = Recorder::at(broker.port);
    let hub = hub(&format!("mqtt://127.0.0.1:{}", proxy.port), |config| config.outbox = 100);
    let mut front = Camera::new(&hub, "front");
    front.publish(350);
    proxy.open();
    recorder.wait_for_seq("front", 350);
    assert_eq!(recorder.seqs("front"), (251..=350).collect::<Vec<u64>>());
    let stats = recorder.wait_for_json("visor/stats", |_| true);
    assert_eq!(stats["events_lost_total"], 250);
    assert_eq!(stats["cameras"]["front"]["status"], "online");
    close(&hub);
}

#[test]
fn a_broker_that_only_answers_pings_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("mqtt://{}", listener.local_addr().unwrap());
    let hub = hub(&url, |config| config.keep_alive = Period::secs(1));
    for _ in 0..2 {
        let (mut client, _) = listener.accept().unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 1024];
            client.write_all(&[0x20, 2, 0, 0]).unwrap();
            while client.read(&mut buffer).is_ok_and(|read| read > 0) {
                if client.write_all(&[0xd0, 0]).is_err() {
                    return;
                }
            }
        });
    }
    hub.close(Instant::now());
}

#[test]
fn without_qos_events_leave_when_they_are_sent() {
    let Some(broker) = Broker::open() else { return };
    let recorder = Recorder::at(broker.port);
    let hub = hub(&broker.url(), |config| config.qos = 0);
    let mut front = Camera::new(&hub, "front");
    front.publish(500);
    recorder.wait_for_seq("front", 500);
    check_delivery(&recorder.seqs("front"), 500, 0);
    assert!(recorder.messages().iter().filter(|m| m.topic == "visor/front/events").all(|m| m.qos == 0));
    close(&hub);
}

#[test]
fn stats_come_at_their_interval() {
    let Some(broker) = Broker::open() else { return };
    let recorder = Recorder::at(broker.port);
    let hub = hub(&broker.url(), |config| config.stats_interval = Period::secs(1));
    let mut front = Camera::new(&hub, "front");
    front.publish(7);
    recorder.wait_for_json("visor/stats", |stats| stats["events_published_total"] == 7);
    close(&hub);
}

#[test]
fn a_wrong_password_is_tried_until_it_is_right() {
    let Some(broker) = Broker::with(|dir| {
        set_password(dir, "something else");
        format!("allow_anonymous false\npassword_file {}\n", dir.join("passwords").display())
    }) else {
        return;
    };
    let secret = broker.dir.path().join("secret");
    std::fs::write(&secret, "opensesame\n").unwrap();
    let proxy = Proxy::to(broker.port, true);
    let hub = hub(&format!("mqtt://127.0.0.1:{}", proxy.port), |config| {
        config.username = Some("visor".to_owned());
        config.password_file = Some(secret);
    });
    let mut front = Camera::new(&hub, "front");
    front.publish(10);
    eventually("three attempts", || (proxy.accepted() >= 3).then_some(()));
    proxy.close();
    set_password(broker.dir.path(), "opensesame");
    broker.reload();
    let recorder = Recorder::with(broker.port, |options| {
        options.set_credentials("visor", "opensesame");
    });
    proxy.open();
    recorder.wait_for_seq("front", 10);
    check_delivery(&recorder.seqs("front"), 10, 0);
    close(&hub);
}

fn set_password(dir: &Path, password: &str) {
    run(Command::new("mosquitto_passwd").arg("-b").arg("-c").arg(dir.join("passwords")).args(["visor", password]));
}

fn run(command: &mut Command) {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert!(status.success(), "{command:?}");
}

/// A certificate authority of one's own in `dir`, and certificates for the broker and a client signed by it.
fn make_certificates(dir: &Path) {
    let openssl = |line: &str| run(Command::new("openssl").current_dir(dir).args(line.split(' ')));
    for ca in ["ca", "otherca"] {
        openssl(&format!("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={ca} -keyout {ca}.key -out {ca}.crt"));
    }
    std::fs::write(dir.join("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1").unwrap();
    for name in ["broker", "client"] {
        openssl(&format!("req -newkey rsa:2048 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr"));
        openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out {name}.crt"
        ));
    }
}

#[test]
fn tls_with_a_client_certificate_works_and_a_strange_authority_does_not() {
    let plain = crate::support::broker::free_port();
    let Some(broker) = Broker::with(|dir| {
        make_certificates(dir);
        let file = |name: &str| dir.join(name).display().to_string();
        format!(
            "allow_anonymous true\ncafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\n\
             listener {plain} 127.0.0.1\nallow_anonymous true\n",
            file("ca.crt"),
            file("broker.crt"),
            file("broker.key")
        )
    }) else {
        return;
    };
    let dir = broker.dir.path().to_owned();
    let recorder = Recorder::at(plain);
    let proxy = Proxy::to(broker.port, true);
    let url = format!("mqtts://localhost:{}", proxy.port);
    let hub = Hub::new();
    let mut front = Camera::new(&hub, "front");
    let with = |ca: &str| {
        settings(&url, |config| {
            config.ca_file = Some(dir.join(ca));
            config.client_certificate = Some(dir.join("client.crt"));
            config.client_key = Some(dir.join("client.key"));
        })
    };
    hub.open(&with("otherca.crt")).unwrap();
    eventually("two attempts", || (proxy.accepted() >= 2).then_some(()));
    assert!(recorder.messages().is_empty());
    hub.reopen(mqtt::NAME, &with("ca.crt"), Instant::now()).unwrap();
    front.publish(20);
    recorder.wait_for_seq("front", 20);
    let topics: BTreeSet<String> = recorder.messages().into_iter().map(|m| m.topic).collect();
    assert!(topics.contains("visor/status"));
    close(&hub);
}

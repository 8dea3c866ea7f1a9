mod place;

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};

use rstest::rstest;
use secrecy::SecretString;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use self::place::{Place, moved, ok};
use super::*;

const LIMITS: Limits = Limits { bytes: 1000, time: Duration::from_secs(5), redirects: 3 };

/// A client that may reach these places, and public hosts.
fn client(places: &[&Place]) -> Client {
    let allowed = places.iter().map(|place| Allowed::parse(&place.address.to_string()).unwrap());
    Client::new(Reach::Public(allowed.collect()))
}

#[rstest]
fn what_only_this_machine_or_its_network_reaches_is_refused(
    #[values(
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "127.255.255.254",
        "0",
        "0.0.0.0",
        "127%2e0%2e0%2e1",
        "①②⑦.⓪.⓪.①",
        "localhost",
        "LOCALHOST",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:a9fe:a9fe]",
        "[::ffff:8.8.8.8]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b:1::a00:1]",
        "[2002:7f00:1::]",
        "[2001::1]",
        "[2001:db8::1]",
        "[100::1]",
        "[fc00::1]",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "[fec0::1]",
        "[ff02::1]",
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "169.254.169.254",
        "2852039166",
        "100.64.0.1",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255"
    )]
    host: &str,
) {
    let here = Place::saying(ok("secret"));
    let client = Client::new(Reach::Public(Vec::new()));
    for scheme in ["http", "https"] {
        let address = format!("{scheme}://{host}:{}/", here.address.port());
        assert_eq!(client.get(&address, &LIMITS), Err(Failure::Refused), "{address}");
    }
    let delivery = Delivery { url: format!("http://{host}:{}/", here.address.port()), secret: None, body: Vec::new() };
    assert_eq!(client.post(&delivery, LIMITS.time), Err(Failure::Refused));
    assert_eq!(here.asked(), 0, "nobody may even have connected");
}

#[rstest]
#[case("file:///etc/passwd")]
#[case("ftp://example.org/")]
#[case("gopher://example.org/")]
#[case("dict://example.org:11211/")]
#[case("data:image/png;base64,AAAA")]
#[case("javascript:alert(1)")]
#[case("unix:/run/x.sock")]
#[case("http://")]
#[case("")]
#[case("//example.org/")]
#[case("example.org")]
#[case("http://user@example.org/")]
#[case("http://user:password@example.org/")]
#[case("http://:password@example.org/")]
#[case("http://example.org@127.0.0.1/")]
#[case("http://[::1")]
#[case("http://1.2.3.4.5.6.7.8/")]
#[case("http://exa mple/")]
fn what_is_no_address_to_be_asked_is_refused(#[case] address: &str) {
    let failure = client(&[]).get(address, &LIMITS).unwrap_err();
    assert!(matches!(failure, Failure::Address(_)), "{failure}");
    assert!(!failure.to_string().contains("password"), "{failure}");
}

#[test]
fn public_addresses_are_public() {
    for public in [
        "1.1.1.1",
        "8.8.8.8",
        "100.63.255.255",
        "100.128.0.1",
        "172.15.0.1",
        "172.32.0.1",
        "192.0.1.1",
        "223.255.255.255",
        "2606:4700::1111",
        "2001:4860:4860::8888",
        "2a00::1",
    ] {
        assert!(reach::is_public(public.parse().unwrap()), "{public}");
    }
}

#[test]
fn each_redirect_is_judged_anew() {
    let inside = Place::saying(ok("secret"));
    let port = inside.address.port();
    for to in [
        inside.url(),
        format!("//127.0.0.1:{port}/"),
        format!("http://localhost:{port}/"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://[::ffff:169.254.169.254]/".to_owned(),
        "http://metadata.google.internal@169.254.169.254/".to_owned(),
        format!("http://user:password@127.0.0.1:{port}/"),
        "file:///etc/passwd".to_owned(),
        "gopher://127.0.0.1/".to_owned(),
    ] {
        let outside = Place::saying(moved(&to));
        let failure = client(&[&outside]).get(&outside.url(), &LIMITS).unwrap_err();
        assert!(matches!(failure, Failure::Refused | Failure::Address(_)), "{to}: {failure}");
        assert_eq!((outside.asked(), inside.asked()), (1, 0), "{to}");
    }
    let last = Place::saying(ok("a picture"));
    let first = Place::saying(moved(&last.url()));
    assert_eq!(client(&[&first, &last]).get(&first.url(), &LIMITS).unwrap(), b"a picture");
}

/// Answers to the same name with another address each time.
#[derive(Debug)]
struct Changing {
    port: u16,
    answers: Mutex<Vec<Vec<IpAddr>>>,
}

impl Resolver for Changing {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut addresses = self.empty();
        for address in self.answers.lock().unwrap().remove(0) {
            addresses.push(SocketAddr::new(address, self.port));
        }
        Ok(addresses)
    }
}

#[test]
fn a_name_is_resolved_once_and_asked_where_it_was_judged() {
    let here = Ipv4Addr::LOCALHOST.into();
    let metadata = IpAddr::from([169, 254, 169, 254]);
    let asked_with = |answers: Vec<Vec<IpAddr>>, answer: String| {
        let place = Place::saying(answer);
        let port = place.address.port();
        let looked_up = Changing { port, answers: Mutex::new(answers) };
        let reach = Reach::Public(vec![Allowed::parse(&format!("127.0.0.1:{port}")).unwrap()]);
        let client = Client::with_resolver(reach, looked_up);
        (client.get(&format!("http://rebind.example:{port}/"), &LIMITS), place.asked())
    };
    // A second look-up would panic: there is no second answer.
    assert_eq!(asked_with(vec![vec![here]], ok("a picture")), (Ok(b"a picture".to_vec()), 1));
    let again = moved("/again");
    assert_eq!(asked_with(vec![vec![here], vec![metadata]], again), (Err(Failure::Refused), 1), "changed in between");
    assert_eq!(
        asked_with(vec![vec![here, metadata]], ok("")),
        (Err(Failure::Refused), 0),
        "one bad address spoils all"
    );
}

#[test]
fn an_allowed_name_reaches_its_network_but_no_metadata() {
    let covers = |allowed: &str, host: &str, port: u16, address: &str| {
        let reach = Reach::Public(vec![Allowed::parse(allowed).unwrap()]);
        reach.includes(&url::Host::parse(host).unwrap(), port, address.parse().unwrap())
    };
    assert!(covers("nas.lan", "nas.lan", 80, "192.168.1.20"));
    assert!(covers("NAS.lan", "nas.lan", 8443, "fd00::1"));
    assert!(covers("nas.lan:8080", "nas.lan", 8080, "127.0.0.1"));
    assert!(!covers("nas.lan:8080", "nas.lan", 80, "192.168.1.20"));
    assert!(!covers("nas.lan", "other.lan", 80, "192.168.1.20"));
    assert!(!covers("nas.lan", "nas.lan", 80, "169.254.169.254"));
    assert!(!covers("nas.lan", "nas.lan", 80, "fd00:ec2::254"));
    assert!(!covers("nas.lan", "nas.lan", 80, "224.0.0.1"));
    assert!(covers("192.168.1.20", "whatever.example", 80, "192.168.1.20"));
    assert!(covers("[fd00::1]:80", "[fd00::1]", 80, "fd00::1"));
    for wrong in ["", "http://nas.lan", "nas.lan/x", "a@nas.lan", "nas lan", "nas.lan:x", "10.0.0.0/8"] {
        assert!(Allowed::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn bytes_time_and_redirects_are_capped() {
    let most = "x".repeat(1000);
    let place = Place::saying(ok(&most));
    assert_eq!(client(&[&place]).get(&place.url(), &LIMITS).unwrap().len(), 1000);
    let announced = Place::saying(ok(&"x".repeat(1001)));
    assert_eq!(client(&[&announced]).get(&announced.url(), &LIMITS), Err(Failure::TooLarge(1000)));
    let endless = Place::open(|_, _, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while stream.write_all(b"10\r\nxxxxxxxxxxxxxxxx\r\n").is_ok() {}
    });
    assert_eq!(client(&[&endless]).get(&endless.url(), &LIMITS), Err(Failure::TooLarge(1000)));
    let dripping = Place::open(|_, _, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n");
        while stream.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let short = Limits { time: Duration::from_millis(300), ..LIMITS };
    assert_eq!(client(&[&dripping]).get(&dripping.url(), &short), Err(Failure::TooSlow(short.time)));
    let circle = Place::saying(moved("/again"));
    assert_eq!(client(&[&circle]).get(&circle.url(), &LIMITS), Err(Failure::Redirects(3)));
    assert_eq!(circle.asked(), 4);
}

#[test]
fn what_is_no_picture_is_said_without_the_address() {
    let gone = Place::saying("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    let babble = Place::saying("what?\r\n\r\n");
    for (place, status) in [(&gone, true), (&babble, false)] {
        let failure = client(&[place]).get(&format!("{}secret-path", place.url()), &LIMITS).unwrap_err();
        assert_eq!(failure == Failure::Status(404, None), status, "{failure}");
        assert!(
            !failure.to_string().contains("secret-path") && !failure.to_string().contains("127.0.0.1"),
            "{failure}"
        );
    }
}

#[test]
fn a_fetch_waits_for_its_turn_within_its_time() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let place = Place::saying(ok("a picture"));
    let client = client(&[&place]);
    let fetch = |time| runtime.block_on(client.fetch(place.url(), Limits { time, ..LIMITS }));
    assert_eq!(fetch(LIMITS.time), Ok(b"a picture".to_vec()));
    let all = runtime.block_on(client.turns.acquire_many(AT_ONCE as u32)).unwrap();
    let short = Duration::from_millis(20);
    assert_eq!(fetch(short), Err(Failure::TooSlow(short)));
    drop(all);
    assert_eq!(fetch(LIMITS.time), Ok(b"a picture".to_vec()));
}

#[test]
fn a_webhook_is_signed_and_comes_again_until_it_is_taken() {
    let (told, heard) = mpsc::channel();
    let tries = AtomicUsize::new(0);
    let receiver = Place::open(move |head, body, stream| {
        let status = if tries.fetch_add(1, Ordering::SeqCst) < 2 { "503 Later" } else { "204 Thanks" };
        let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
        let _ = told.send((head.to_ascii_lowercase(), body.to_vec()));
    });
    let plan = Plan { pause: Duration::from_millis(5), ..Plan::default() };
    let courier = Courier::start(&client(&[&receiver]), plan).unwrap();
    let secret = Arc::new(SecretString::from("opensesame"));
    let body = br#"{"job":"7"}"#.to_vec();
    courier.send(Delivery { url: receiver.url(), secret: Some(Arc::clone(&secret)), body: body.clone() }).unwrap();
    for _ in 0..3 {
        let (head, got) = heard.recv_timeout(Duration::from_secs(20)).unwrap();
        assert_eq!(got, body);
        let line = head.lines().find_map(|line| line.strip_prefix("x-visor-signature: ")).unwrap();
        let seconds = line.strip_prefix("t=").and_then(|rest| rest.split_once(',')).unwrap().0.parse().unwrap();
        assert_eq!(line, sign(&secret, Timestamp::from_second(seconds).unwrap(), &body));
        assert!(head.contains("content-type: application/json"), "{head}");
    }
    assert!(heard.recv_timeout(Duration::from_millis(100)).is_err(), "taken is taken");
}

#[test]
fn a_receiver_says_when_to_come_again() {
    let now: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
    for (text, expected) in [
        ("120", Some(120)),
        (" 0 ", Some(0)),
        ("Thu, 01 Jan 2026 12:00:30 GMT", Some(30)),
        ("Thu, 01 Jan 2026 11:00:00 GMT", Some(0)),
        ("soon", None),
        ("-1", None),
    ] {
        assert_eq!(wait(text, now), expected.map(Duration::from_secs), "{text}");
    }
    let usual = Duration::from_secs(2);
    for (wish, expected) in [(None, 2), (Some(1), 2), (Some(30), 30), (Some(1 << 40), 600)] {
        let failure = Failure::Status(503, wish.map(Duration::from_secs));
        assert_eq!(failure.pause(usual), Duration::from_secs(expected), "{wish:?}");
    }
    let busy = Place::saying("HTTP/1.1 429 Later\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n");
    let delivery = Delivery { url: busy.url(), secret: None, body: Vec::new() };
    let failure = client(&[&busy]).post(&delivery, Duration::from_secs(20)).unwrap_err();
    assert_eq!(failure, Failure::Status(429, Some(Duration::from_secs(7))));
}

#[test]
fn what_may_pass_is_tried_again_and_nothing_else() {
    let later = [408, 425, 429, 500, 502, 503, 504];
    for status in (300..600).filter(|status| !later.contains(status) && *status < 500) {
        assert!(!Failure::Status(status, None).may_pass(), "{status}");
    }
    assert!(later.iter().all(|&status| Failure::Status(status, None).may_pass()));
    let away = [Failure::Unreachable("no connection"), Failure::TooSlow(Duration::ZERO)];
    assert!(away.iter().all(Failure::may_pass) && !Failure::Refused.may_pass());
}

#[test]
fn a_receiver_that_does_not_want_it_is_not_asked_again_and_holds_up_nobody() {
    let (told, heard) = mpsc::channel();
    let unwilling = Place::open(move |_, body, stream| {
        let _ = stream.write_all(b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n");
        let _ = told.send(body.to_vec());
    });
    let plan = Plan { queue: 4, pause: Duration::from_millis(5), ..Plan::default() };
    let courier = Courier::start(&client(&[&unwilling]), plan).unwrap();
    for body in [b"1".to_vec(), b"2".to_vec()] {
        courier.send(Delivery { url: unwilling.url(), secret: None, body }).unwrap();
    }
    let mut bodies: Vec<_> = (0..2).map(|_| heard.recv_timeout(Duration::from_secs(20)).unwrap()).collect();
    bodies.sort();
    assert_eq!(bodies, [b"1", b"2"]);
    assert!(heard.recv_timeout(Duration::from_millis(100)).is_err());
}

#[test]
fn what_cannot_wait_is_said_at_once() {
    let (hold, held) = mpsc::channel::<()>();
    let hanging = Place::open(move |_, _, _| {
        let _ = held.recv();
    });
    let plan = Plan { queue: 2, ..Plan::default() };
    let courier = Courier::start(&client(&[&hanging]), plan).unwrap();
    let delivery = || Delivery { url: hanging.url(), secret: None, body: Vec::new() };
    let overflow = (0..100).position(|_| courier.send(delivery()).is_err());
    assert!(overflow.is_some_and(|sent| sent >= 2), "{overflow:?}");
    drop(hold);
}

#[test]
fn pauses_double_up_to_the_longest() {
    let plan = Plan { pause: Duration::from_secs(1), longest_pause: Duration::from_secs(60), ..Plan::default() };
    for (failed, expected) in [(0, 1.0), (1, 2.0), (5, 32.0), (6, 60.0), (40, 60.0)] {
        let pause = plan.pause_after(failed).as_secs_f64();
        assert!((0.75 * expected..=1.25 * expected).contains(&pause), "{failed}: {pause}");
    }
}

//! Knocking at a camera that cannot be reached.

use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

/// How long one address may take to answer; a camera in the house answers in milliseconds.
const ANSWER_WITHIN: Duration = Duration::from_millis(800);

/// What came of knocking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Knock {
    /// Somebody listens; this is the last knock.
    Answers,
    /// Nobody does, and why.
    Silent(String),
}

/// A thread that knocks until somebody answers or this is dropped. A thread, since looking up a name blocks.
#[derive(Debug)]
pub(super) struct Probe {
    /// Holds one knock: a newer one tells no more than the one that has not been read yet.
    pub(super) knocks: Receiver<Knock>,
    _alive: Sender<()>,
}

impl Probe {
    pub(super) fn start(camera: &str, peer: (String, u16), every: Duration) -> std::io::Result<Self> {
        let (tell, knocks) = bounded(1);
        let (alive, stop) = bounded(0);
        let thread = std::thread::Builder::new().name(format!("probe-{camera}"));
        thread.spawn(move || knock_until_answered(&peer, every, &tell, &stop))?;
        Ok(Self { knocks, _alive: alive })
    }
}

fn knock_until_answered(peer: &(String, u16), every: Duration, tell: &Sender<Knock>, stop: &Receiver<()>) {
    loop {
        let begun = Instant::now();
        let knock = knock(peer);
        let answered = knock == Knock::Answers;
        if answered {
            // waits for room: this one must not get lost
            let _ = tell.send(knock);
            return;
        }
        let _ = tell.try_send(knock);
        let pause = every.saturating_sub(begun.elapsed()).max(Duration::from_millis(50));
        if stop.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

fn knock((host, port): &(String, u16)) -> Knock {
    let addresses = match (host.as_str(), *port).to_socket_addrs() {
        Ok(addresses) => addresses,
        Err(e) => return Knock::Silent(format!("{host} cannot be looked up: {e}")),
    };
    let mut silence = format!("{host} has no address");
    // one of each family is enough, and keeps the whole knock short
    for address in addresses.take(2) {
        match TcpStream::connect_timeout(&address, ANSWER_WITHIN) {
            Ok(_) => return Knock::Answers,
            Err(e) => silence = format!("{host}:{port} does not answer: {e}"),
        }
    }
    Knock::Silent(silence)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    #[test]
    fn knocks_until_somebody_listens() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let probe = Probe::start("test", ("127.0.0.1".to_owned(), port), Duration::from_millis(1)).unwrap();
        assert!(matches!(probe.knocks.recv_timeout(SOON), Ok(Knock::Silent(_))));
        let _listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let answered = std::iter::from_fn(|| probe.knocks.recv_timeout(SOON).ok()).any(|knock| knock == Knock::Answers);
        assert!(answered);
    }

    #[test]
    fn a_name_that_nobody_has_is_silence() {
        let knock = knock(&("no-such-host.invalid".to_owned(), 554));
        assert!(matches!(knock, Knock::Silent(why) if why.contains("no-such-host.invalid")));
    }
}

//! What the outside wants: stop (SIGTERM, SIGINT), stop at once (a second one), reload (SIGHUP or a changed file).

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crossbeam_channel::{Receiver, Sender, bounded, select};
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

use crate::fault::Fault;

/// How long the daemon may take to finish what is under way.
pub const DRAIN_DEADLINE: Duration = Duration::from_secs(5);

/// How often the configuration file is looked at. A change counts when it has been the same twice, so that a file
/// still being written is not read.
const FILE_POLL: Duration = Duration::from_secs(1);

/// How urgently to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Finish what is under way, within [`DRAIN_DEADLINE`].
    Graceful,
    /// A second signal: at once.
    Now,
}

/// Why to read the configuration again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// SIGHUP.
    Signal,
    /// The file is another one than before.
    FileChanged,
}

/// What the outside wants, as it comes.
pub struct Wishes {
    /// Holds both kinds of stop; a third signal adds nothing and is dropped.
    pub stop: Receiver<Stop>,
    /// Holds one: while a reload is waiting, another adds nothing and is dropped.
    pub reload: Receiver<Reload>,
    reload_sender: Sender<Reload>,
    /// Told of each SIGHUP: the file is read then, and its version is no news any more.
    hung_up: Arc<Notify>,
}

impl Wishes {
    /// Listens for signals from here on. Needs the I/O and the time of `runtime`.
    ///
    /// # Errors
    /// The signals cannot be had.
    pub fn listen(runtime: &Handle) -> Result<Self, Fault> {
        let _inside = runtime.enter();
        let on = |kind| signal(kind).map_err(|e| Fault::internal(format!("cannot listen for signals: {e}")));
        let (terminate, interrupt) = (on(SignalKind::terminate())?, on(SignalKind::interrupt())?);
        let hangup = on(SignalKind::hangup())?;
        let (stop_sender, stop) = bounded(2);
        let (reload_sender, reload) = bounded(1);
        runtime.spawn(forward_stop(terminate, interrupt, stop_sender));
        let hung_up = Arc::new(Notify::new());
        runtime.spawn(forward_hangup(hangup, reload_sender.clone(), Arc::clone(&hung_up)));
        Ok(Self { stop, reload, reload_sender, hung_up })
    }

    /// Also wishes a reload whenever the file at `path` is another one than at the time of this call: to be called
    /// before the file is read.
    pub fn watch_file(&self, runtime: &Handle, path: &Path) {
        let watched = Watched::new(fingerprint(path));
        runtime.spawn(watch_file(path.to_owned(), watched, self.reload_sender.clone(), Arc::clone(&self.hung_up)));
    }
}

async fn forward_stop(mut terminate: Signal, mut interrupt: Signal, stop: Sender<Stop>) {
    for wish in [Stop::Graceful, Stop::Now] {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        match wish {
            Stop::Graceful => {
                tracing::info!(
                    signal = name,
                    deadline_s = DRAIN_DEADLINE.as_secs(),
                    "shutting down; again to stop at once"
                );
            }
            Stop::Now => tracing::warn!(signal = name, "second signal, stopping at once"),
        }
        let _ = stop.try_send(wish);
    }
}

async fn forward_hangup(mut hangup: Signal, reload: Sender<Reload>, hung_up: Arc<Notify>) {
    while hangup.recv().await.is_some() {
        tracing::info!(signal = "SIGHUP", "reload asked for");
        hung_up.notify_one();
        let _ = reload.try_send(Reload::Signal);
    }
}

/// What tells one version of a file from another.
type Fingerprint = Option<(u64, u64, u64, SystemTime)>;

fn fingerprint(path: &Path) -> Fingerprint {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.dev(), meta.ino(), meta.len(), meta.modified().ok()?))
}

async fn watch_file(path: PathBuf, mut watched: Watched, reload: Sender<Reload>, hung_up: Arc<Notify>) {
    let mut tick = tokio::time::interval(FILE_POLL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = hung_up.notified() => {
                watched.read(fingerprint(&path));
                continue;
            }
        }
        if watched.changed(fingerprint(&path)) {
            tracing::info!(file = %path.display(), "configuration file changed");
            let _ = reload.try_send(Reload::FileChanged);
        }
    }
}

/// A file's version in use and the one seen last.
struct Watched {
    used: Fingerprint,
    last: Fingerprint,
}

impl Watched {
    fn new(used: Fingerprint) -> Self {
        Self { used, last: used }
    }

    /// Somebody else has the file read, as it is now.
    fn read(&mut self, now: Fingerprint) {
        *self = Self::new(now);
    }

    /// Whether the file is there, differs from the version in use, and was the same at the last look.
    fn changed(&mut self, now: Fingerprint) -> bool {
        let settled = now.is_some() && now != self.used && now == self.last;
        self.last = now;
        if settled {
            self.used = now;
        }
        settled
    }
}

/// How a shutdown ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Everything under way was finished.
    Clean,
    /// [`DRAIN_DEADLINE`] passed first.
    DeadlinePassed,
    /// A second signal came first.
    Abandoned,
}

/// Does the `work` of shutting down on a thread of its own, and returns when it is done, when `deadline` has passed or
/// when `stop` says [`Stop::Now`]. The caller then ends the process whatever still hangs.
pub fn drain(stop: &Receiver<Stop>, deadline: Duration, work: impl FnOnce() + Send + 'static) -> Drained {
    let (done_sender, done) = bounded::<()>(1);
    let worker = std::thread::Builder::new().name("drain".to_owned()).spawn(move || {
        work();
        let _ = done_sender.send(());
    });
    if let Err(error) = worker {
        tracing::error!(%error, "cannot start the thread that drains");
        return Drained::Abandoned;
    }
    let deadline = crossbeam_channel::after(deadline);
    let ended = wait(stop, &done, &deadline);
    match ended {
        Drained::Clean => tracing::info!("shut down"),
        Drained::DeadlinePassed => tracing::warn!("shutdown deadline passed, leaving the rest behind"),
        Drained::Abandoned => tracing::warn!("shutdown cut short"),
    }
    ended
}

fn wait(stop: &Receiver<Stop>, done: &Receiver<()>, deadline: &Receiver<std::time::Instant>) -> Drained {
    let never = crossbeam_channel::never();
    let mut stop = stop;
    loop {
        select! {
            recv(done) -> _ => return Drained::Clean,
            recv(deadline) -> _ => return Drained::DeadlinePassed,
            recv(stop) -> wish => match wish {
                Ok(Stop::Now) => return Drained::Abandoned,
                Ok(Stop::Graceful) => {}
                Err(_) => stop = &never,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};

    use rustix::process::{Pid, Signal, kill_process};

    #[test]
    fn drain_ends_with_its_work_its_deadline_or_the_second_signal() {
        let (wishes, stop) = bounded(2);
        let minute = Duration::from_secs(60);
        assert_eq!(drain(&stop, minute, || {}), Drained::Clean);
        let hang = || {
            let _ = crossbeam_channel::never::<()>().recv();
        };
        assert_eq!(drain(&stop, Duration::from_millis(1), hang), Drained::DeadlinePassed);
        wishes.send(Stop::Graceful).unwrap();
        wishes.send(Stop::Now).unwrap();
        assert_eq!(drain(&stop, minute, hang), Drained::Abandoned);
        drop(wishes);
        assert_eq!(drain(&stop, minute, || {}), Drained::Clean);
    }

    #[test]
    fn a_file_counts_as_changed_once_it_has_settled() {
        let version = |n| Some((1, n, 1, SystemTime::UNIX_EPOCH));
        let mut watched = Watched::new(version(1));
        let seen = [version(1), version(2), version(3), version(3), version(3), None, None, version(1), version(1)];
        let changed: Vec<bool> = seen.into_iter().map(|v| watched.changed(v)).collect();
        assert_eq!(changed, [false, false, false, true, false, false, false, false, true]);
    }

    #[test]
    fn what_a_hangup_has_read_is_no_change() {
        let version = |n| Some((1, n, 1, SystemTime::UNIX_EPOCH));
        let mut watched = Watched::new(version(1));
        assert!(!watched.changed(version(2)));
        watched.read(version(2));
        let seen = [version(2), version(2), version(3), version(3)].map(|v| watched.changed(v));
        assert_eq!(seen, [false, false, false, true]);
    }

    /// Real signals to a real process: the test's own binary, which runs this test and nothing else, and listens in it.
    #[test]
    fn signals_reach_the_wishes_in_order() {
        if std::env::var_os(CHILD).is_some() {
            return listen();
        }
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "lifecycle::signals::tests::signals_reach_the_wishes_in_order"])
            .env(CHILD, "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut expect = |wanted: &str| {
            assert!(lines.any(|line| line.ends_with(wanted)), "the child ended without saying {wanted}");
        };
        expect("listening");
        send(&child, Signal::HUP);
        expect("reload Signal");
        send(&child, Signal::TERM);
        expect("stop Graceful");
        send(&child, Signal::INT);
        expect("stop Now");
        assert!(child.wait().unwrap().success());
    }

    fn send(child: &Child, signal: Signal) {
        kill_process(Pid::from_child(child), signal).unwrap();
    }

    const CHILD: &str = "VISOR_TEST_SIGNALS";

    fn listen() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let wishes = Wishes::listen(runtime.handle()).unwrap();
        println!("listening");
        loop {
            select! {
                recv(wishes.reload) -> wish => println!("reload {:?}", wish.unwrap()),
                recv(wishes.stop) -> wish => {
                    println!("stop {:?}", wish.unwrap());
                    if wish == Ok(Stop::Now) {
                        return;
                    }
                }
            }
        }
    }
}

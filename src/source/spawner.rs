//! Starts capture children, ends them, and buries them.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use tracing::{debug, warn};

use super::uri::Scrub;
use crate::clock::Monotonic;
use crate::ring::wire::ChildEnd;
use crate::ring::{ENVIRONMENT, INHERITED};

/// How often a child that is to end is looked after.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Orders that wait for the thread. Each takes it a millisecond; one that finds no room waits for that.
const ORDERS: usize = 64;

/// The longest line of a child's standard error that is kept whole.
const LINE: u64 = 2048;

/// A capture child to be started.
pub(super) struct Job {
    pub(super) camera: Arc<str>,
    pub(super) socket: ChildEnd,
    pub(super) scrub: Scrub,
}

/// Something that can start children.
pub(super) trait Launch: Send {
    /// Starts one, and does not wait for it. That it could not be started shows as its socket's end.
    fn launch(&self, job: Job) -> Box<dyn Running>;
}

/// A child that has been started.
pub(super) trait Running: Send {
    /// Kills the child unless it ends by itself within `grace`, and does not wait for it.
    fn end(self: Box<Self>, grace: Duration);
}

/// Starts capture children. All clones share one thread, which lives as long as any of them: a child asks the kernel to
/// be killed when its parent dies, and that means the *thread* that started it.
#[derive(Clone, Debug)]
pub struct Spawner {
    orders: Sender<Order>,
    ids: Arc<AtomicU64>,
}

enum Order {
    Start(u64, Job),
    End(u64, Monotonic),
}

impl Spawner {
    /// A spawner whose children are this same program in the role `capture`.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start() -> io::Result<Self> {
        // the program that runs now, even where its file has been replaced by an update
        Self::start_with(Path::new("/proc/self/exe"))
    }

    /// A spawner whose children are `program`, called as `program capture`.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start_with(program: &Path) -> io::Result<Self> {
        let (orders, inbox) = bounded(ORDERS);
        let mut keeper = Keeper { program: program.to_owned(), children: HashMap::new() };
        std::thread::Builder::new().name("spawner".to_owned()).spawn(move || keeper.keep(&inbox))?;
        Ok(Self { orders, ids: Arc::default() })
    }
}

impl Launch for Spawner {
    fn launch(&self, job: Job) -> Box<dyn Running> {
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        // where the thread is gone the job is dropped, and with it the child's end of the socket
        let _ = self.orders.send(Order::Start(id, job));
        Box::new(Handle { id, orders: self.orders.clone() })
    }
}

struct Handle {
    id: u64,
    orders: Sender<Order>,
}

impl Running for Handle {
    fn end(self: Box<Self>, grace: Duration) {
        let _ = self.orders.send(Order::End(self.id, Monotonic::now().plus(grace)));
    }
}

/// The thread's own: all children that have not been buried.
struct Keeper {
    program: PathBuf,
    children: HashMap<u64, Kept>,
}

struct Kept {
    child: Child,
    camera: Arc<str>,
    /// From when on it is killed; `None` while it is wanted.
    kill_at: Option<Monotonic>,
}

impl Keeper {
    fn keep(&mut self, inbox: &Receiver<Order>) {
        loop {
            let someone_ends = self.children.values().any(|kept| kept.kill_at.is_some());
            let order = if someone_ends {
                inbox.recv_timeout(LOOK_EVERY)
            } else {
                inbox.recv().map_err(|_| RecvTimeoutError::Disconnected)
            };
            match order {
                Ok(Order::Start(id, job)) => self.spawn(id, job),
                Ok(Order::End(id, at)) => {
                    if let Some(kept) = self.children.get_mut(&id) {
                        kept.kill_at = Some(at);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                // nobody is left to end the rest
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.children.retain(|_, kept| !kept.buried());
        }
        for kept in self.children.values_mut() {
            let _ = kept.child.kill();
            let _ = kept.child.wait();
        }
    }

    fn spawn(&mut self, id: u64, job: Job) {
        let Job { camera, socket, scrub } = job;
        let mut command = Command::new(&self.program);
        command.arg0("visor").arg("capture").current_dir("/");
        command.env_clear().envs(ENVIRONMENT.iter().copied());
        command.envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.stdin(socket.into_fd()).stdout(Stdio::null()).stderr(Stdio::piped());
        // Ctrl-C on a terminal is for the daemon, which then ends its children in order
        command.process_group(0);
        match command.spawn() {
            Ok(mut child) => {
                debug!(camera = &*camera, pid = child.id(), "capture child started");
                if let Some(stderr) = child.stderr.take() {
                    pass_on(Arc::clone(&camera), stderr, scrub);
                }
                self.children.insert(id, Kept { child, camera, kill_at: None });
            }
            Err(error) => warn!(camera = &*camera, %error, "capture child cannot be started"),
        }
    }
}

impl Kept {
    /// Looks after a child that is to end; true once it is gone and its status has been taken.
    fn buried(&mut self) -> bool {
        let Some(kill_at) = self.kill_at else { return false };
        match self.child.try_wait() {
            Ok(Some(status)) => {
                debug!(camera = &*self.camera, pid = self.child.id(), %status, "capture child ended");
                return true;
            }
            Ok(None) => {}
            Err(error) => {
                warn!(camera = &*self.camera, pid = self.child.id(), %error, "capture child is lost");
                return true;
            }
        }
        if kill_at <= Monotonic::now() {
            // again with every look: a signal to a process that is being killed does nothing
            let _ = self.child.kill();
        }
        false
    }
}

/// Reads a child's standard error to its end, line by line, so that it never blocks on it, and logs it without secrets.
fn pass_on(camera: Arc<str>, stderr: ChildStderr, scrub: Scrub) {
    let thread = std::thread::Builder::new().name(format!("log-{camera}"));
    let read = move || {
        let mut stderr = BufReader::new(stderr);
        let mut line = Vec::new();
        while stderr.by_ref().take(LINE).read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            let text = scrub.text(String::from_utf8_lossy(&line).trim_end());
            debug!(camera = &*camera, text, "capture child says");
            line.clear();
        }
    };
    if let Err(error) = thread.spawn(read) {
        warn!(%error, "a capture child's standard error is not read");
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::ring::wire::{BrainEnd, Received};
    use crate::source::Uri;

    const SOON: Duration = Duration::from_secs(10);

    /// Starts a shell script as a child.
    fn launch(script: &str) -> (tempfile::TempDir, BrainEnd, Box<dyn Running>) {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("child");
        std::fs::write(&program, format!("#!/bin/sh\ncd \"$(dirname \"$0\")\"\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o700)).unwrap();
        let (ours, socket) = BrainEnd::pair().unwrap();
        let scrub = Uri::from("rtsp://a:secret@b/").target().unwrap().scrub();
        let child = Spawner::start_with(&program).unwrap().launch(Job { camera: "test".into(), socket, scrub });
        (folder, ours, child)
    }

    /// Waits until a child has written a whole line, and gives what it wrote.
    fn written(folder: &tempfile::TempDir, name: &str) -> String {
        let until = Monotonic::now().plus(SOON);
        loop {
            match std::fs::read_to_string(folder.path().join(name)) {
                Ok(text) if text.ends_with('\n') => return text,
                _ => assert!(Monotonic::now() < until, "{name} was not written"),
            }
            std::thread::yield_now();
        }
    }

    fn wait_until(what: &str, condition: impl Fn() -> bool) {
        let until = Monotonic::now().plus(SOON);
        while !condition() {
            assert!(Monotonic::now() < until, "{what}");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_child_that_should_end_is_killed_and_leaves_no_zombie() {
        let (folder, ours, child) = launch("trap '' TERM INT HUP; echo $$ > pid; while :; do sleep 100; done");
        let pid = written(&folder, "pid").trim().to_owned();
        let process = Path::new("/proc").join(pid);
        assert!(process.exists());
        child.end(Duration::ZERO);
        wait_until("the child is still there", || !process.exists());
        drop(ours);
    }

    #[test]
    fn a_child_gets_its_socket_and_little_else() {
        let script = "env > env; ls -l /proc/$$/fd > files; echo \"$@\" > args; echo end > end";
        let (folder, ours, _child) = launch(script);
        written(&folder, "end");
        let brain_end = format!("socket:[{}]", rustix::fs::fstat(&ours).unwrap().st_ino);
        assert!(matches!(ours.recv(Monotonic::now().plus(SOON)), Received::Closed), "its socket ends with it");
        assert_eq!(written(&folder, "args"), "capture\n");
        let files = written(&folder, "files");
        assert!(files.contains(" 0 -> socket:["), "{files}");
        assert!(!files.contains(&brain_end), "whoever holds the brain's end keeps the child from seeing it close");
        let environment = written(&folder, "env");
        let names = environment.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name);
        let known = |name: &str| ENVIRONMENT.iter().any(|(other, _)| *other == name) || INHERITED.contains(&name);
        // what a shell sets by itself
        let surplus: Vec<_> =
            names.filter(|name| !known(name) && !["PWD", "OLDPWD", "SHLVL", "_"].contains(name)).collect();
        assert!(surplus.is_empty(), "{surplus:?}");
        assert!(environment.contains("HOME=/nonexistent"));
    }

    #[test]
    fn a_program_that_is_not_there_shows_as_the_sockets_end() {
        let (ours, socket) = BrainEnd::pair().unwrap();
        let scrub = Uri::from("test:").target().unwrap().scrub();
        let spawner = Spawner::start_with(Path::new("/nonexistent/visor")).unwrap();
        let child = spawner.launch(Job { camera: "test".into(), socket, scrub });
        assert!(matches!(ours.recv(Monotonic::now().plus(SOON)), Received::Closed));
        child.end(Duration::ZERO);
    }

    #[test]
    fn children_end_with_the_last_spawner() {
        let (folder, _ours, child) = launch("echo $$ > pid; exec sleep 100");
        let process = Path::new("/proc").join(written(&folder, "pid").trim());
        // the launch's spawner is gone already: its child's handle is what keeps the thread
        assert!(process.exists());
        drop(child);
        wait_until("the child is still there", || !process.exists());
    }
}

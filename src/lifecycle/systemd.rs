//! What systemd is told: ready, reloading, stopping, and that the daemon is well (`sd_notify(3)`).
//! Without `NOTIFY_SOCKET` all of it does nothing.

use std::time::Duration;

use sd_notify::NotifyState;

use super::Phase;
use crate::fault::Fault;

/// Says which phase began.
pub(super) fn tell_phase(phase: Phase) {
    let status = phase.to_string();
    let status = NotifyState::Status(&status);
    match phase {
        Phase::Ready => tell(&[NotifyState::Ready, status]),
        // Since systemd 253 a reload must carry the time at which it began.
        Phase::Reloading => match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now, status]),
            Err(_) => tell(&[status]),
        },
        Phase::Draining => tell(&[NotifyState::Stopping, status]),
        Phase::Starting | Phase::Stopped => tell(&[status]),
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd does not listen");
    }
}

/// Starts the thread that keeps systemd's watchdog quiet, if systemd asked for one: at a third of its period, and
/// only while `healthy` says so. A sick daemon is thus restarted by systemd. Ends with the process.
///
/// # Errors
/// The thread cannot be started.
pub fn keep_watchdog(healthy: impl Fn() -> Result<(), String> + Send + 'static) -> Result<(), Fault> {
    let Some(period) = sd_notify::watchdog_enabled() else { return Ok(()) };
    std::thread::Builder::new()
        .name("watchdog".to_owned())
        .spawn(move || {
            let mut watchdog = Watchdog::default();
            loop {
                if watchdog.judge(healthy()) {
                    tell(&[NotifyState::Watchdog]);
                }
                std::thread::sleep((period / 3).max(Duration::from_millis(10)));
            }
        })
        .map(drop)
        .map_err(|e| Fault::internal(format!("cannot start the watchdog thread: {e}")))
}

/// Remembers whether the daemon was sick, so that each change is said once.
#[derive(Default)]
struct Watchdog {
    sick: bool,
}

impl Watchdog {
    fn judge(&mut self, health: Result<(), String>) -> bool {
        match (&health, self.sick) {
            (Err(reason), false) => tracing::error!(%reason, "unhealthy: the watchdog is not fed any more"),
            (Ok(()), true) => tracing::warn!("healthy again: the watchdog is fed"),
            _ => {}
        }
        self.sick = health.is_err();
        !self.sick
    }
}

#[cfg(test)]
mod tests {
    use super::super::Lifecycle;
    use std::os::unix::net::UnixDatagram;
    use std::process::Command;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// The test's own binary plays the daemon in this same test, since systemd speaks to a process by its environment.
    #[test]
    fn systemd_hears_every_phase_and_the_watchdog_stops_with_the_health() {
        const NAME: &str =
            "lifecycle::systemd::tests::systemd_hears_every_phase_and_the_watchdog_stops_with_the_health";
        if std::env::var_os(CHILD).is_some() {
            return live();
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", NAME])
            .env(CHILD, "1")
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "30000")
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let mut heard = Vec::new();
        while heard.last().is_none_or(|last: &String| !last.contains("STATUS=stopped")) {
            let mut message = [0; 4096];
            let length = socket.recv(&mut message).unwrap();
            heard.push(String::from_utf8(message[..length].to_vec()).unwrap());
        }
        assert!(child.wait().unwrap().success());
        let fed = heard.iter().filter(|m| m.starts_with("WATCHDOG=1")).count();
        assert!(fed >= 1, "{heard:?}");
        let after_stopping = heard.iter().skip_while(|m| !m.starts_with("STOPPING=1"));
        assert_eq!(after_stopping.filter(|m| m.starts_with("WATCHDOG=1")).count(), 0, "{heard:?}");
        let phases: Vec<_> = heard.iter().filter(|m| !m.starts_with("WATCHDOG=1")).map(|m| m.lines().next()).collect();
        let expected = ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1", "STATUS=stopped"].map(Some);
        assert_eq!(phases, expected);
        assert!(heard.iter().any(|m| m.starts_with("RELOADING=1\nMONOTONIC_USEC=")), "{heard:?}");
    }

    const CHILD: &str = "VISOR_TEST_SYSTEMD";

    static HEALTHY: AtomicBool = AtomicBool::new(true);
    static ASKED: AtomicBool = AtomicBool::new(false);

    fn live() {
        let (lifecycle, start) = Lifecycle::start();
        start.open();
        super::keep_watchdog(|| {
            let healthy = HEALTHY.load(Ordering::SeqCst);
            ASKED.store(true, Ordering::SeqCst);
            healthy.then_some(()).ok_or_else(|| "model hangs".to_owned())
        })
        .unwrap();
        wait_until_asked();
        drop(lifecycle.reload());
        HEALTHY.store(false, Ordering::SeqCst);
        wait_until_asked();
        wait_until_asked();
        lifecycle.drain();
        wait_until_asked();
        lifecycle.stopped();
    }

    fn wait_until_asked() {
        ASKED.store(false, Ordering::SeqCst);
        while !ASKED.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
    }
}

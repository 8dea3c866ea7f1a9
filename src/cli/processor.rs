//! Processor time, as the kernel accounts for it: of processes in steps of a hundredth of a second.

use std::time::Duration;

/// User and system time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ProcessorTime {
    /// Of the process itself.
    pub(super) own: Duration,
    /// Of its children that have ended and were waited for.
    pub(super) children: Duration,
}

impl ProcessorTime {
    /// Of this process, until now.
    pub(super) fn now() -> Self {
        Self::of(std::process::id())
    }

    /// Of a process, until now (`proc(5)`, stat); nothing where that cannot be read.
    pub(super) fn of(process: u32) -> Self {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // the name in front may hold anything, so fields are counted from its end
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ticks: Vec<u64> = fields.split_whitespace().skip(11).take(4).filter_map(|t| t.parse().ok()).collect();
        let hz = rustix::param::clock_ticks_per_second() as f64;
        let time =
            |pair: Option<&[u64]>| Duration::from_secs_f64(pair.unwrap_or_default().iter().sum::<u64>() as f64 / hz);
        Self { own: time(ticks.get(..2)), children: time(ticks.get(2..4)) }
    }

    /// Both.
    pub(super) fn total(self) -> Duration {
        self.own + self.children
    }
}

/// Of those of this process' threads that live and whose names begin so (`proc(5)`, schedstat).
///
/// # Errors
/// There is no `/proc`.
pub(super) fn time_of_threads(prefix: &str) -> std::io::Result<Duration> {
    let mut sum = Duration::ZERO;
    for task in std::fs::read_dir("/proc/self/task")? {
        let folder = task?.path();
        // one that ends meanwhile has none
        let read = |file| std::fs::read_to_string(folder.join(file)).unwrap_or_default();
        if read("comm").starts_with(prefix) {
            let nanoseconds = read("schedstat").split_whitespace().next().and_then(|first| first.parse().ok());
            sum += Duration::from_nanos(nanoseconds.unwrap_or(0));
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use rustix::time::{ClockId, clock_gettime};

    use super::*;

    #[test]
    fn threads_are_told_by_their_names() {
        let own = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap();
        let work = move || {
            let (before, begun) = (time_of_threads("busy-").unwrap(), own());
            // several ticks: with each the kernel accounts for who runs
            while own() < begun + Duration::from_millis(50) {}
            let after = time_of_threads("busy-").unwrap();
            assert!(after >= before + Duration::from_millis(2), "{before:?}, {after:?}: has the kernel no schedstat?");
            time_of_threads("idle-").unwrap()
        };
        let busy = std::thread::Builder::new().name("busy-1".to_owned()).spawn(work).unwrap();
        assert_eq!(busy.join().unwrap(), Duration::ZERO);
    }

    #[test]
    fn a_childs_time_counts_once_it_has_ended() {
        let before = ProcessorTime::now();
        let busy = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done";
        assert!(std::process::Command::new("sh").args(["-c", busy]).status().unwrap().success());
        let after = ProcessorTime::now();
        assert!(after.children > before.children);
        assert!(after.total() >= after.own + before.children);
    }
}

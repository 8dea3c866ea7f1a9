//! What processes hold over time, and whether it grows.

use std::fmt;

/// What one process held at one time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Held {
    /// Memory of its own, in MiB: what a leak grows.
    pub own: f64,
    /// Of the rings, in MiB: slots that were written at least once. Shared, and never more than the ring has.
    pub rings: f64,
    /// Of programs and libraries, in MiB: shared, and given back when somebody else needs the room.
    pub files: f64,
    /// Descriptors; `None` where this user may not count them.
    pub descriptors: Option<usize>,
}

impl Held {
    /// Of a process that runs; `None` of one that has ended.
    pub fn by(pid: u32) -> Option<Self> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let mib = |key| {
            let line = status.lines().find_map(|line: &str| line.strip_prefix(key))?;
            Some(line.split_whitespace().next()?.parse::<f64>().ok()? / 1024.0)
        };
        let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).ok().map(Iterator::count);
        Some(Self { own: mib("RssAnon:")?, rings: mib("RssShmem:")?, files: mib("RssFile:")?, descriptors })
    }
}

/// A process as it was seen again and again.
pub struct Watched {
    role: String,
    pid: u32,
    /// Seconds since some beginning, and what it held then.
    seen: Vec<(f64, Held)>,
}

impl Watched {
    /// A process, and what it is called in the report.
    pub fn new(role: &str, pid: u32) -> Self {
        Self { role: role.to_owned(), pid, seen: Vec::new() }
    }

    /// Looks at it. Panics where it has ended.
    pub fn look(&mut self, at: f64) {
        let held = Held::by(self.pid);
        self.seen.push((at, held.unwrap_or_else(|| panic!("{} has ended", self.role))));
    }

    /// How much of its own memory it gained over the second half of the time, in MiB, by a straight line through what
    /// was seen: what every process fills once at its start does not count.
    pub fn growth(&self) -> f64 {
        let (Some((first, _)), Some((last, _))) = (self.seen.first(), self.seen.last()) else { return 0.0 };
        let half = (first + last) / 2.0;
        let late: Vec<_> = self.seen.iter().filter(|(at, _)| *at >= half).map(|(at, held)| (*at, held.own)).collect();
        slope(&late) * (last - half)
    }

    /// Descriptors at the half and at the end, where they can be counted.
    pub fn descriptors(&self) -> Option<(usize, usize)> {
        let middle = self.seen.get(self.seen.len() / 2)?;
        middle.1.descriptors.zip(self.seen.last()?.1.descriptors)
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some((_, first)), Some((_, last))) = (self.seen.first(), self.seen.last()) else { return Ok(()) };
        write!(
            f,
            "{:>8}: own memory {:.1} -> {:.1} MiB ({:+.2} in the second half), rings {:.0} -> {:.0}, files {:.0} -> {:.0}",
            self.role,
            first.own,
            last.own,
            self.growth(),
            first.rings,
            last.rings,
            first.files,
            last.files
        )
    }
}

/// Of the straight line with the least squares of distances.
fn slope(points: &[(f64, f64)]) -> f64 {
    let n = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let spread: f64 = points.iter().map(|p| (p.0 - x).powi(2)).sum();
    if spread > 0.0 { points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum::<f64>() / spread } else { 0.0 }
}

#[test]
fn a_leak_is_told_from_what_is_filled_once() {
    let seen = |own: fn(f64) -> f64| {
        let at = |second| (f64::from(second), Held { own: own(f64::from(second)), ..Held::default() });
        Watched { role: "it".to_owned(), pid: 0, seen: (0..100).map(at).collect() }.growth()
    };
    assert!(seen(|second| 100.0 + (second / 10.0).min(3.0)).abs() < 0.01, "all of it at the start");
    assert!((seen(|second| 100.0 + second / 10.0) - 4.95).abs() < 0.01, "a tenth a second for half the time");
    assert!(seen(|second| 100.0 + second % 5.0).abs() < 1.0, "to and fro");
}

//! How much memory a child may take: a stream says how large its pictures are and how many of them a decoder keeps.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

use gstreamer::glib;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const GIB: u64 = 1 << 30;

/// How much memory a child may take. Rings do not count: they are the daemon's, who bounds them.
///
/// The kernel refuses more than the second bound, which counts what is reserved, too: eight megabytes for the stack of each
/// thread. Some who are refused say nothing and give no pictures, so a child is to look at the first bound again and again,
/// and to end with a reason once it is beyond.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    used: u64,
    reserved: u64,
}

impl Memory {
    /// To read one camera: twenty pictures of 4K in ten bits take half of it.
    pub const CAPTURE: Self = Self { used: GIB, reserved: 3 * GIB };

    /// To serve all cameras, or to write a file: sixteen encoders of 4K take half of it.
    pub const OUTPUT: Self = Self { used: 6 * GIB, reserved: 16 * GIB };

    /// Has the kernel refuse what is beyond any need.
    pub(super) fn limit(self) -> rustix::io::Result<()> {
        let bound = |before: Option<u64>| Some(before.map_or(self.reserved, |before| before.min(self.reserved)));
        let Rlimit { current, maximum } = getrlimit(Resource::Data);
        setrlimit(Resource::Data, Rlimit { current: bound(current), maximum: bound(maximum) })
    }

    /// What to say before ending, where this process has taken more than it may.
    pub fn exceeded(self) -> Option<String> {
        let most = bound().map_or(self.used, |bound| self.used.min(bound / 4 * 3));
        let used = used()?;
        (used > most).then(|| format!("it takes {} MiB of memory, and may take {}", used >> 20, most >> 20))
    }
}

/// The kernel's bound.
fn bound() -> Option<u64> {
    getrlimit(Resource::Data).current
}

/// Memory of this process alone, in bytes; `None` where the kernel does not say.
fn used() -> Option<u64> {
    // open all the time: to find it costs more than to read it
    static PAGES: OnceLock<File> = OnceLock::new();
    let file = match PAGES.get() {
        Some(file) => file,
        None => {
            let file = File::open("/proc/self/statm").ok()?;
            PAGES.get_or_init(|| file)
        }
    };
    let mut text = [0; 256];
    let length = file.read_at(&mut text, 0).ok()?;
    let pages = std::str::from_utf8(&text[..length]).ok()?;
    let mut pages = pages.split(' ').skip(1).map_while(|number| number.parse::<u64>().ok());
    let (resident, shared) = (pages.next()?, pages.next()?);
    Some(resident.saturating_sub(shared) * rustix::param::page_size() as u64)
}

/// Has `tell` hear why GLib is about to end the process, as it does where it gets no memory.
pub fn on_abort(tell: impl Fn(&str) + Send + Sync + 'static) {
    glib::log_set_default_handler(move |domain, level, text| {
        if level == glib::LogLevel::Error {
            tell(text);
        }
        glib::log_default_handler(domain, level, Some(text));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_is_what_was_written_to() {
        let before = used().unwrap();
        let block = vec![1_u8; 64 << 20];
        let more = used().unwrap() - before;
        assert!((60 << 20..256 << 20).contains(&more), "{} MiB", more >> 20);
        drop(std::hint::black_box(block));
    }

    #[test]
    fn more_than_a_child_may_take_is_told_in_numbers() {
        let little = Memory { used: 1 << 20, reserved: GIB };
        let text = little.exceeded().unwrap();
        assert!(text.ends_with("MiB of memory, and may take 1"), "{text}");
        assert_eq!(Memory { used: u64::MAX, reserved: GIB }.exceeded(), None);
    }
}

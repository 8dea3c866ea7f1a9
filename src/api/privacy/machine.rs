//! What the machine would let Visor do, and what it may do with Visor's memory.

use std::path::{Path, PathBuf};

use landlock::{ABI, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr};
use rustix::fs::{Access as May, access, statfs};

use super::process::Processes;
use super::{Check, State};
use crate::infer::{self, Uploader};
use crate::simd::pages;

/// Where programs usually write, beside the working folder and the home.
const PLACES: [&str; 7] = ["/tmp", "/var/tmp", "/var/lib", "/var/cache", "/var/log", "/home", "/"];

/// File systems that are memory, or the kernel's (`statfs(2)`): tmpfs, ramfs, proc, sysfs, devpts.
const NO_DISKS: [i128; 5] = [0x0102_1994, 0x8584_58f6, 0x9fa0, 0x6265_6572, 0x1cd1];

/// How many places are named.
const NAMED: usize = 4;

/// Whether this kernel lets a process forbid itself every write (Landlock's third interface, Linux 6.2). A child that cannot
/// do so on a kernel that has it ends at once.
pub(super) fn confines() -> bool {
    let writes = AccessFs::from_write(ABI::V3);
    Ruleset::default().set_compatibility(CompatLevel::HardRequirement).handle_access(writes).is_ok()
}

pub(super) fn open_files(processes: &Processes, confined: bool) -> Check {
    let Processes { count, closed, written, output, .. } = processes;
    let (state, detail) = if !written.is_empty() {
        (State::Fail, format!("Open for writing: {}.", some(written)))
    } else if *closed > 0 && !confined {
        let what = format!(
            "{} let nobody look into them, and this kernel cannot keep them from writing.",
            processes_of(*closed)
        );
        (State::Unknown, what)
    } else if !output.is_empty() {
        let what = format!("Only what is logged goes to a file, which whoever started Visor opened: {}.", some(output));
        (State::Warn, what)
    } else if *closed > 0 {
        let what = format!(
            "No file is open for writing. {} let nobody look into them, and have forbidden themselves to write any.",
            processes_of(*closed)
        );
        (State::Ok, what)
    } else {
        (State::Ok, format!("None of {} has a file open for writing.", processes_of(*count)))
    };
    Check::new("open_files", "No file is written", (state, detail))
}

pub(super) fn confinement(confined: bool) -> Check {
    let found = if confined {
        let what = "Each process that speaks to cameras or players forbids itself every write to files before it reads a \
                    byte; this kernel enforces it.";
        (State::Ok, what.to_owned())
    } else {
        let what = "This kernel is older than 6.2 or has no Landlock: processes that speak to cameras cannot forbid \
                    themselves every write to files.";
        (State::Warn, what.to_owned())
    };
    Check::new("confinement", "Children cannot write", found)
}

pub(super) fn places() -> Check {
    let own = [std::env::current_dir().ok(), std::env::home_dir()].into_iter().flatten();
    let mut open: Vec<String> = own
        .chain(PLACES.iter().map(PathBuf::from))
        .filter(|place| is_writable(place))
        .map(|place| place.display().to_string())
        .collect();
    open.sort_unstable();
    open.dedup();
    let found = if open.is_empty() {
        (State::Ok, "Where programs usually write, the system does not let Visor write.".to_owned())
    } else {
        let what = format!(
            "Visor writes nowhere, but the system would let it: {}. Its systemd unit makes everything read-only.",
            some(&open)
        );
        (State::Warn, what)
    };
    Check::new("writable_places", "No place to write to", found)
}

/// Memory that is called a file system does not count.
fn is_writable(place: &Path) -> bool {
    let on_disk = statfs(place).is_ok_and(|system| !NO_DISKS.contains(&i128::from(system.f_type)));
    on_disk && access(place, May::WRITE_OK).is_ok()
}

pub(super) fn core_dumps(processes: &Processes) -> Check {
    let found = match processes.cores {
        0 => (State::Ok, "A process that crashes leaves no image of its memory.".to_owned()),
        cores => (State::Fail, format!("{} would leave an image of its memory after a crash.", processes_of(cores))),
    };
    Check::new("core_dumps", "No core dumps", found)
}

pub(super) fn swap() -> Check {
    let swap = rustix::system::sysinfo().totalswap > 0;
    Check::new("swap", "Memory stays memory", swapping(swap, group_limit(), pages::all_locked()))
}

fn swapping(swap: bool, group: Option<u64>, locked: bool) -> (State, String) {
    let (state, what) = match (swap, group, locked) {
        (false, ..) => (State::Ok, "This machine has no swap."),
        (true, Some(0), _) => (State::Ok, "This machine has swap, but not for Visor (memory.swap.max is 0)."),
        (true, _, true) => {
            let what = "Who is known is locked into memory; pictures on their way may be swapped. Visor's systemd unit \
                        forbids that, too (MemorySwapMax=0).";
            (State::Warn, what)
        }
        (true, _, false) => {
            let what = "Who is known may be swapped to a disk: raise the limit of locked memory (LimitMEMLOCK=infinity) and \
                        forbid swapping (MemorySwapMax=0), as Visor's systemd unit does.";
            (State::Fail, what)
        }
    };
    (state, what.to_owned())
}

/// How much of this process's control group may be swapped, where there is a limit.
fn group_limit() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let file = Path::new("/sys/fs/cgroup").join(group).join("memory.swap.max");
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

pub(super) fn telemetry() -> Check {
    let version = infer::library_version().unwrap_or_default();
    let found = match infer::uploader() {
        None => (State::Unknown, "The inference library is not loaded.".to_owned()),
        Some(Uploader::None) => {
            (State::Ok, format!("Nothing here calls home. ONNX Runtime {version} has no uploader."))
        }
        Some(Uploader::Silenced) => {
            let what = format!(
                "ONNX Runtime {version} has an uploader, which ORT_DISABLE_TELEMETRY=1 keeps quiet; 1.28 has none."
            );
            (State::Warn, what)
        }
    };
    Check::new("telemetry", "No telemetry", found)
}

fn processes_of(count: usize) -> String {
    if count == 1 { "1 process".to_owned() } else { format!("{count} processes") }
}

fn some(paths: &[String]) -> String {
    let named = paths.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    if paths.len() > NAMED { format!("{named} and {} more", paths.len() - NAMED) } else { named }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn processes(written: &[&str], closed: usize) -> Processes {
        let written = written.iter().map(|path| (*path).to_owned()).collect();
        Processes { count: 3, closed, written, ..Processes::default() }
    }

    #[test]
    fn a_file_that_is_written_fails_and_what_cannot_be_seen_is_not_called_well() {
        let check = |processes: &Processes, confined| open_files(processes, confined).state;
        assert_eq!(check(&processes(&[], 0), false), State::Ok);
        assert_eq!(check(&processes(&["/x"], 0), true), State::Fail);
        assert_eq!(check(&processes(&[], 2), false), State::Unknown);
        assert_eq!(check(&processes(&[], 2), true), State::Ok);
        let logged = Processes { output: vec!["/var/log/visor".to_owned()], ..processes(&[], 0) };
        assert_eq!(check(&logged, true), State::Warn);
    }

    #[test]
    fn swap_is_a_danger_as_far_as_it_reaches() {
        let states = [(false, None, false), (true, Some(0), false), (true, None, true), (true, Some(9), false)]
            .map(|(swap, group, locked)| swapping(swap, group, locked).0);
        assert_eq!(states, [State::Ok, State::Ok, State::Warn, State::Fail]);
    }

    #[test]
    fn a_folder_is_a_place_to_write_and_a_list_of_many_is_short() {
        let folder = tempfile::tempdir_in(".").unwrap();
        assert!(
            is_writable(folder.path())
                && !is_writable(&folder.path().join("missing"))
                && !is_writable(Path::new("/proc"))
        );
        let many: Vec<String> = (0..6).map(|n| format!("/{n}")).collect();
        assert_eq!(some(&many), "/0, /1, /2, /3 and 2 more");
    }
}

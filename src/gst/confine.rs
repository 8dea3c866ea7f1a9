//! What a child forbids itself before it touches a camera's bytes.
//!
//! Call [`confine`] first of all, on the main thread: Landlock binds the calling thread and those it starts later.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, RulesetStatus, Scope,
};
use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal};

use super::Memory;
use crate::fault::Fault;

/// The newest Landlock interface whose rights are asked for; an older kernel gives what it has.
const NEWEST: ABI = ABI::V6;

/// Devices that a decoder or a webcam opens for reading and writing; none of them is a file that keeps anything.
const DEVICES: [&str; 2] = ["null", "dri"];
/// The same, by how their names begin.
const DEVICE_PREFIXES: [&str; 3] = ["video", "media", "nvidia"];

/// How far the kernel could hold the child to its promise to write no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confinement {
    /// No file can be written, created, truncated or removed.
    Full,
    /// No file can be written or created, but the kernel's Landlock is too old to forbid everything.
    Partial,
    /// The kernel has no Landlock, or has it switched off.
    None,
}

impl Confinement {
    /// What to tell the administrator, where there is something to tell.
    pub fn notice(self) -> Option<&'static str> {
        match self {
            Self::Full => None,
            Self::Partial => {
                Some("this kernel is older than 6.2: its Landlock cannot keep children from truncating files")
            }
            Self::None => Some("this kernel has no Landlock: children cannot forbid themselves to write files"),
        }
    }
}

/// Forbids this process every write to the file system, core dumps, new privileges, outliving its parent, and more than its
/// share of `memory`.
///
/// # Errors
/// Where the kernel refuses any of it for another reason than being too old.
pub fn confine(memory: Memory) -> Result<Confinement, Fault> {
    harden(memory).map_err(|error| Fault::internal(format!("cannot harden the child process: {error}")))?;
    forbid_writes().map_err(|error| Fault::internal(format!("cannot forbid file writes with Landlock: {error}")))
}

/// Where memory runs out the kernel is to take a child, which is started again, before the daemon, whose own score is 0: a
/// camera's bytes say how much memory a decoder needs.
const OUT_OF_MEMORY_SCORE: &str = "500";

fn harden(memory: Memory) -> rustix::io::Result<()> {
    // first, as who is not dumpable may not write it; where it cannot be said it remains the kernel's choice
    let _ = std::fs::write("/proc/self/oom_score_adj", OUT_OF_MEMORY_SCORE);
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    memory.limit()?;
    rustix::thread::set_no_new_privs(true)
}

fn forbid_writes() -> Result<Confinement, RulesetError> {
    let device_access = AccessFs::WriteFile | AccessFs::IoctlDev;
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_write(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    for device in devices() {
        // A device that went away between the listing and now is one less to allow.
        if let Ok(fd) = PathFd::new(&device) {
            rules = rules.add_rule(PathBeneath::new(fd, device_access))?;
        }
    }
    Ok(match rules.restrict_self()?.ruleset {
        RulesetStatus::FullyEnforced => Confinement::Full,
        RulesetStatus::PartiallyEnforced if covers_truncation() => Confinement::Full,
        RulesetStatus::PartiallyEnforced => Confinement::Partial,
        RulesetStatus::NotEnforced => Confinement::None,
    })
}

/// Whether this kernel knows every right that concerns files (Landlock's third interface, Linux 6.2).
fn covers_truncation() -> bool {
    Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_write(ABI::V3))
        .is_ok()
}

fn devices() -> Vec<PathBuf> {
    let named = |name: &str| DEVICES.contains(&name) || DEVICE_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    let Ok(entries) = Path::new("/dev").read_dir() else { return Vec::new() };
    entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(named)).map(|entry| entry.path()).collect()
}

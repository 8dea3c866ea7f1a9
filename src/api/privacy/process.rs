//! Visor's processes as the kernel shows them: what they have open for writing, and whether they could leave a core.

use std::fs;
use std::path::Path;

/// `O_ACCMODE`, `O_PATH`: what of a descriptor's flags says whether one may write by it.
const ACCESS: u32 = 0o3;
const PATH_ONLY: u32 = 0o10_000_000;

/// Devices and the kernel's own files keep nothing; a memfd is memory.
const NO_FILES: [&str; 4] = ["/dev/", "/proc/", "/sys/", "/memfd:"];

/// How deep children's children are followed.
const DEEPEST: usize = 4;

/// What was found of all processes together.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Processes {
    /// This one and its children.
    pub(super) count: usize,
    /// Those that let nobody look.
    pub(super) closed: usize,
    /// Files that are open for writing, by any.
    pub(super) written: Vec<String>,
    /// The same where somebody else opened them for this process's output: the log, where it is redirected.
    pub(super) output: Vec<String>,
    /// Processes that may leave a core.
    pub(super) cores: usize,
}

/// Looks at this process and its children.
pub(super) fn look() -> Processes {
    let mut found = Processes::default();
    let own = std::process::id();
    let mut waiting = vec![(own, 0)];
    while let Some((process, depth)) = waiting.pop() {
        let folder = format!("/proc/{process}");
        found.count += 1;
        found.closed += usize::from(!found.look_at(Path::new(&folder), process == own));
        found.cores += usize::from(process != own && core_limit(&folder).is_some_and(|limit| limit != "0"));
        if depth < DEEPEST {
            waiting.extend(children(&folder).into_iter().map(|child| (child, depth + 1)));
        }
    }
    found.cores += usize::from(!own_core_forbidden());
    for paths in [&mut found.written, &mut found.output] {
        paths.sort_unstable();
        paths.dedup();
    }
    found
}

impl Processes {
    /// `false` where the process does not let itself be looked at.
    fn look_at(&mut self, folder: &Path, own: bool) -> bool {
        let Ok(descriptors) = fs::read_dir(folder.join("fd")) else { return false };
        for descriptor in descriptors.flatten() {
            let Ok(target) = fs::read_link(descriptor.path()) else { continue };
            let (target, number) = (target.to_string_lossy().into_owned(), descriptor.file_name());
            if !is_file(&target) || !is_written(&folder.join("fdinfo").join(&number)) {
                continue;
            }
            let is_output = own && (number == "1" || number == "2");
            if is_output { self.output.push(target) } else { self.written.push(target) }
        }
        true
    }
}

fn is_file(target: &str) -> bool {
    target.starts_with('/') && !NO_FILES.iter().any(|place| target.starts_with(place))
}

fn is_written(info: &Path) -> bool {
    fs::read_to_string(info).is_ok_and(|info| may_write(&info))
}

fn may_write(info: &str) -> bool {
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
    flags.is_some_and(|flags| flags & PATH_ONLY == 0 && flags & ACCESS != 0)
}

fn children(folder: &str) -> Vec<u32> {
    let threads = fs::read_dir(format!("{folder}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>()).collect()
}

/// The present limit of another process's core; `None` where that is not told.
fn core_limit(folder: &str) -> Option<String> {
    let limits = fs::read_to_string(format!("{folder}/limits")).ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max core file size"))?;
    line.split_whitespace().next().map(str::to_owned)
}

/// The limit alone does not do where a core is piped to a program.
fn own_core_forbidden() -> bool {
    use rustix::process::{DumpableBehavior, Resource, dumpable_behavior, getrlimit};
    getrlimit(Resource::Core).current == Some(0) && dumpable_behavior() == Ok(DumpableBehavior::NotDumpable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_open_for_writing_is_found() {
        let file = tempfile::NamedTempFile::new_in(".").unwrap();
        let path = fs::canonicalize(file.path()).unwrap().to_string_lossy().into_owned();
        assert!(look().written.contains(&path));
        let reader = fs::File::open(file.path()).unwrap();
        drop(file);
        // this process alone: a child that is just being made has what its parent has
        let mut own = Processes::default();
        assert!(own.look_at(Path::new("/proc/self"), true));
        assert!(!own.written.iter().any(|written| written.starts_with(&path)), "read, and not written");
        drop(reader);
    }

    #[test]
    fn a_child_is_looked_at() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        // where other threads end meanwhile the kernel's list of threads may break off, and their children are not told
        let found = (0..100).any(|_| look().count >= 2);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(found, "a child that is there is never looked at");
    }

    #[test]
    fn a_descriptor_says_whether_it_may_be_written() {
        assert!(may_write("pos:\t0\nflags:\t0100001\nmnt_id:\t9\n") && may_write("flags:\t02"));
        assert!(!may_write("flags:\t0100000") && !may_write("flags:\t010000002") && !may_write(""));
        for (target, file) in
            [("/home/a", true), ("/memfd:ring (deleted)", false), ("/dev/null", false), ("socket:[1]", false)]
        {
            assert_eq!(is_file(target), file, "{target}");
        }
    }
}

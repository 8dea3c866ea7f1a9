//! The systemd unit: well formed, and locked down as far as it claims. It is not started here.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Total exposure, in tenths, that `systemd-analyze security` may find.
const MOST_EXPOSURE: &str = "20";

/// The unit in a folder of its own, with this build in place of the installed program and these drop-ins.
fn unit(drop_ins: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd");
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(source.join("visor.service")).unwrap();
    assert!(text.contains("ExecStart=/usr/bin/visor "), "the unit starts something else");
    let path = folder.path().join("visor.service");
    std::fs::write(&path, text.replace("/usr/bin/visor", env!("CARGO_BIN_EXE_visor"))).unwrap();
    let parts = folder.path().join("visor.service.d");
    std::fs::create_dir(&parts).unwrap();
    for drop_in in drop_ins {
        std::fs::copy(source.join("visor.service.d").join(drop_in), parts.join(drop_in)).unwrap();
    }
    (folder, path)
}

fn analyze(arguments: &[&str], unit: &Path) -> Option<Output> {
    match Command::new("systemd-analyze").args(arguments).arg(unit).env("SYSTEMD_PAGER", "").output() {
        Ok(output) => Some(output),
        Err(error) => {
            eprintln!("skipped: systemd-analyze: {error}");
            None
        }
    }
}

fn check_unit(drop_ins: &[&str]) {
    let (_folder, unit) = unit(drop_ins);
    let Some(verified) = analyze(&["verify"], &unit) else { return };
    let complaints = String::from_utf8_lossy(&verified.stderr);
    // Words about other units of the machine are not about this one.
    let ours: Vec<_> = complaints.lines().filter(|line| line.contains("visor")).collect();
    assert!(verified.status.success() && ours.is_empty(), "{drop_ins:?}: {complaints}");
    let threshold = format!("--threshold={MOST_EXPOSURE}");
    let Some(judged) = analyze(&["security", "--offline=true", &threshold], &unit) else { return };
    let table = String::from_utf8_lossy(&judged.stdout);
    assert!(judged.status.success(), "{drop_ins:?}: too exposed: {}", table.lines().last().unwrap_or_default());
}

#[test]
fn the_unit_is_well_formed_and_hardly_exposed() {
    check_unit(&[]);
}

#[test]
fn so_it_is_with_its_drop_ins() {
    check_unit(&["cuda.conf"]);
    check_unit(&["vaapi.conf"]);
    check_unit(&["cuda.conf", "vaapi.conf"]);
}

#[test]
fn a_unit_with_a_mistake_does_not_pass() {
    let (_folder, path) = unit(&[]);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("ProtectSystem=strict", "ProtectSystem=stricter")).unwrap();
    let Some(verified) = analyze(&["verify"], &path) else { return };
    assert!(String::from_utf8_lossy(&verified.stderr).contains("stricter"));
}

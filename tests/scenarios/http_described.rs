//! The published description, tried against a running daemon by schemathesis: what it says holds, and nothing is a 500.
#![cfg(feature = "media")]

use std::process::Command;

use super::support::daemon::{Daemon, checkout, models, sample_people};
use super::support::wait::eventually;

/// An admin's.
const TOKEN: &str = "a-token-of-sixteen-letters";

#[test]
fn the_description_holds() {
    let program = checkout(".cache/tools/bin/schemathesis");
    if !program.is_file() {
        eprintln!("skipped: {} is missing (scripts/setup --tests fetches it)", program.display());
        return;
    }
    let Some(people) = sample_people() else { return };
    let tokens = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(tokens.path(), format!("{TOKEN} admin\n")).unwrap();
    let http = format!("[http]\nlisten = \"127.0.0.1:0\"\nrate = 0\ntokens_file = {:?}\n", tokens.path());
    let daemon = Daemon::start(&format!("{}{http}[gallery]\nfolder = {people:?}\n", models()));
    daemon.wait_for_log("gallery's folder read", |_| true);
    let address = eventually("an address for http", || daemon.address());
    // an answer without an end that is not left out would keep it for ever
    let output = Command::new("timeout")
        .arg("400")
        .arg(program)
        .arg("--config-file")
        .arg(checkout("tests/schemathesis.toml"))
        .args(["run", &format!("http://{address}/openapi.json"), "--phases", "coverage,fuzzing"])
        .args(["--header", &format!("Authorization: Bearer {TOKEN}")])
        // the soak looks for what is new; otherwise the same is tried each time
        .args(if std::env::var_os("VISOR_SOAK_SECONDS").is_some() { &[][..] } else { &["--seed", "20"] })
        // its report's folder
        .current_dir(daemon.dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let failed = daemon.log().into_iter().find(|entry| entry["level"] == "ERROR");
    assert!(failed.is_none(), "{failed:?}");
    assert!(daemon.stop().success());
}

//! The simulated camera as a process of its own, so that whoever needs one can also kill, stop or restart it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::ring::{ENVIRONMENT, INHERITED};

/// The line which `visor camera` prints once it can be reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Announcement {
    /// Address and port in use.
    pub listen: String,
    /// Each mount's RTSP address, without user and password.
    pub urls: BTreeMap<String, String>,
}

/// A running `visor camera`; dropping it ends the process.
#[derive(Debug)]
pub struct SimulatedCamera {
    child: Child,
    announcement: Announcement,
}

impl SimulatedCamera {
    /// Starts `visor camera` of the program `visor` with these arguments and waits until it serves. Encoding the clips
    /// takes as long as it takes; an argument or a file that is wrong ends it at once.
    ///
    /// # Errors
    /// Where the program cannot be started or ends before it serves; its own words are on standard error.
    pub fn start<S: AsRef<std::ffi::OsStr>>(visor: &Path, args: &[S]) -> Result<Self, Fault> {
        let doing = |e: &dyn std::fmt::Display| Fault::unavailable(format!("the simulated camera did not start: {e}"));
        // Its standard input is its lifeline: it ends when this process does, however that comes about. A terminal's
        // Ctrl-C is for whoever started it.
        let mut child = Command::new(visor)
            .args(["camera", "--until-eof"])
            .args(args)
            .env_clear()
            .envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
            .envs(ENVIRONMENT.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|e| doing(&e))?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line).map_err(|e| doing(&e))?;
        }
        match serde_json::from_str(&line) {
            Ok(announcement) => Ok(Self { child, announcement }),
            Err(_) => {
                let _ = child.kill();
                let status = child.wait().map_err(|e| doing(&e))?;
                Err(doing(&status))
            }
        }
    }

    /// The RTSP address of a mount.
    pub fn url(&self, mount: &str) -> Option<&str> {
        self.announcement.urls.get(mount).map(String::as_str)
    }

    /// Address and port, to start a successor at the same place.
    pub fn listen(&self) -> &str {
        &self.announcement.listen
    }

    /// The process, for whoever wants to stop it or look at its processor time.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for SimulatedCamera {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

//! The demo's broker: one that listens already, or Debian's mosquitto on a free port.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::fault::Fault;

/// Where a broker listens by default.
const MQTT: u16 = 1883;

/// How long mosquitto may take to listen.
const PATIENCE: Duration = Duration::from_secs(5);

/// Debian puts it where only root looks.
const PROGRAMS: [&str; 3] = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "mosquitto"];

/// A broker on this machine; one that was started here ends when this is dropped.
pub(super) struct Broker {
    port: u16,
    url: String,
    started: Option<Child>,
}

impl Broker {
    /// The broker that listens on the usual port, lets everybody in and has no daemon yet, whose topics the demo would
    /// take; or else a new one.
    pub(super) fn find_or_start() -> Result<Self, Fault> {
        if welcomes(MQTT) { Ok(Self::at(MQTT, None)) } else { Self::start() }
    }

    fn at(port: u16, started: Option<Child>) -> Self {
        Self { port, url: format!("mqtt://127.0.0.1:{port}"), started }
    }

    /// Somebody else may take a free port before the broker has it: then another one is tried.
    fn start() -> Result<Self, Fault> {
        Self::try_start().or_else(|_| Self::try_start())
    }

    fn try_start() -> Result<Self, Fault> {
        let failed = |e: &dyn std::fmt::Display| {
            Fault::unavailable(format!("mosquitto cannot be started: {e}")).remedy("apt-get install mosquitto")
        };
        let port = free_port().map_err(|e| failed(&e))?;
        let program = PROGRAMS.iter().find(|p| Path::new(p).is_file()).unwrap_or(&PROGRAMS[2]);
        // Without a configuration it listens on loopback only and writes nothing. setpriv lets it not outlive the demo.
        // In a group of its own a terminal's Ctrl-C does not reach it: the last events are yet to be delivered.
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", program, "-p", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|e| failed(&e))?;
        let deadline = Instant::now() + PATIENCE;
        while !listens(port) {
            if let Some(status) = child.try_wait().map_err(|e| failed(&e))? {
                return Err(failed(&status));
            }
            if Instant::now() > deadline {
                let _ = child.kill();
                return Err(failed(&format_args!("it does not listen after {} s", PATIENCE.as_secs())));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Self::at(port, Some(child)))
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn origin(&self) -> &'static str {
        if self.started.is_some() { "mosquitto, started for this" } else { "the one that listens already" }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(child) = &mut self.started {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// MQTT 3.1.1's CONNECT of a client without name, user and password.
const CONNECT: [u8; 14] = *b"\x10\x0c\0\x04MQTT\x04\x02\0\x05\0\0";

/// Its answer where everything is well.
const CONNACK: [u8; 4] = *b"\x20\x02\0\0";

/// SUBSCRIBE to what a daemon says of itself, and the answer to that.
const SUBSCRIBE: [u8; 19] = *b"\x82\x11\0\x01\0\x0cvisor/status\0";
const SUBACK: [u8; 5] = *b"\x90\x03\0\x01\0";

/// How long a broker may take for a message that it keeps.
const KEPT: Duration = Duration::from_millis(300);

/// Whether a broker listens there that lets everybody in, and that no daemon is connected to.
fn welcomes(port: u16) -> bool {
    let asked = || -> std::io::Result<bool> {
        let mut stream = connect(port)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&CONNECT)?;
        let mut answer = [0; CONNACK.len()];
        stream.read_exact(&mut answer)?;
        if answer != CONNACK {
            return Ok(false);
        }
        stream.write_all(&SUBSCRIBE)?;
        let mut answer = [0; SUBACK.len()];
        stream.read_exact(&mut answer)?;
        stream.set_read_timeout(Some(KEPT))?;
        let mut kept = Vec::new();
        // it ends with the time that there is for it, which is an error
        let _ = stream.take(1024).read_to_end(&mut kept);
        Ok(answer == SUBACK && !kept.ends_with(b"online"))
    };
    asked().unwrap_or(false)
}

fn listens(port: u16) -> bool {
    connect(port).is_ok()
}

fn connect(port: u16) -> std::io::Result<TcpStream> {
    TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), Duration::from_millis(300))
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A port whose broker answers a client without a name with `connack`, and keeps `status` for it.
    fn broker(connack: &'static [u8], status: &'static [u8]) -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.read_exact(&mut [0; CONNECT.len()]).unwrap();
            stream.write_all(connack).unwrap();
            stream.read_exact(&mut [0; SUBSCRIBE.len()]).unwrap();
            stream.write_all(&SUBACK).unwrap();
            stream.write_all(status).unwrap();
            // it stays until the client goes
            let _ = stream.read(&mut [0]);
        });
        port
    }

    #[test]
    fn a_broker_is_borrowed_where_it_lets_everybody_in_and_no_daemon_has_it() {
        assert!(welcomes(broker(&CONNACK, b"")));
        assert!(welcomes(broker(&CONNACK, b"\x31\x15\0\x0cvisor/statusoffline")));
        assert!(!welcomes(broker(&CONNACK, b"\x31\x14\0\x0cvisor/statusonline")));
        assert!(!welcomes(broker(b"\x20\x02\0\x05", b"")), "not authorised");
        assert!(!welcomes(free_port().unwrap()));
    }
}

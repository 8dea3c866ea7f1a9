//! The brain's side of the encoding child: its ring, its messages, its end.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::clock::Monotonic;
use crate::fault::Fault;
use crate::frame::Frame;
use crate::mask::{MaskedFrame, Outcome, Painter, Ruling, out_layout};
use crate::ring::out::{Container, EncodeSettings, FromOutput, OutEnd, OutRing, OutSlot, ToOutput};
use crate::ring::wire::Received;
use crate::ring::{ENVIRONMENT, INHERITED};

/// Frames that may be on their way to the encoder, or in its hands.
const SLOTS: u32 = 16;

/// How long the encoder may take with one frame before it counts as hung.
const PATIENCE: Duration = Duration::from_secs(60);

/// An encoding child and the ring to it. Dropping it kills the child.
pub(super) struct Encoder {
    child: Child,
    channel: OutEnd,
    ring: Option<OutRing>,
    rings: u32,
    /// What the child has not been told yet.
    settings: Option<EncodeSettings>,
}

impl Encoder {
    /// Starts a child that encodes into `file`, and gets itself ready while there is nothing to encode yet.
    pub fn start(container: Container, file: File) -> Result<Self, Fault> {
        let (channel, theirs) = OutEnd::pair().map_err(|e| Fault::internal(format!("no socket can be made: {e}")))?;
        let child = role(&[]).stdin(theirs.into_fd()).stdout(file).spawn().map_err(|e| cannot_start(&e))?;
        Ok(Self { child, channel, ring: None, rings: 0, settings: Some(EncodeSettings { container, fps: None }) })
    }

    /// The nominal rate of what is to come, which counts until the first frame.
    pub fn expect(&mut self, fps: Option<f64>) {
        if let Some(settings) = &mut self.settings {
            settings.fps = fps;
        }
    }

    /// Paints a frame straight into the ring and hands it over.
    pub fn write(&mut self, painter: &mut Painter, frame: &Frame, ruling: &Ruling) -> Result<Outcome, Fault> {
        let layout = out_layout(frame.layout());
        if let Some(settings) = self.settings.take() {
            send(&self.channel, &ToOutput::Encode(settings))?;
        }
        if self.ring.as_ref().is_none_or(|ring| !ring.fits(&layout)) {
            self.rings += 1;
            let ring = OutRing::create(self.rings, &layout, SLOTS)
                .map_err(|e| Fault::unavailable(format!("no memory for pictures: {e}")))?;
            let until = Monotonic::now().plus(PATIENCE);
            self.channel.send_until(&ring.offer(), Some(ring.fd()), until).map_err(|e| gone(&e))?;
            self.ring = Some(ring);
        }
        let Self { ring: Some(ring), channel, .. } = self else {
            return Err(Fault::internal("there is no ring to the encoder"));
        };
        wait_for_slot(ring, channel)?;
        let slot = ring.slot().ok_or_else(|| Fault::internal("a free slot is none"))?;
        let masked = painter.paint(frame, ruling, slot).map_err(|e| Fault::internal(e.to_string()))?;
        let outcome = masked.outcome();
        hand_over(masked, channel)?;
        Ok(outcome)
    }

    /// Waits until everything is in the file.
    pub fn finish(mut self) -> Result<(), Fault> {
        send(&self.channel, &ToOutput::End)?;
        loop {
            match hear(&self.channel)? {
                FromOutput::Done => break,
                FromOutput::Failed { text } => return Err(Fault::unavailable(text.as_str())),
                FromOutput::Release { .. } | FromOutput::Watched { .. } => {}
            }
        }
        let status = self.child.wait().map_err(|e| gone(&e))?;
        if status.success() { Ok(()) } else { Err(gone(&status)) }
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The only way to the encoder, and it takes masked frames alone.
fn hand_over(masked: MaskedFrame<OutSlot<'_>>, channel: &OutEnd) -> Result<(), Fault> {
    let (layout, pts) = (*masked.layout(), masked.stamp().pts);
    let message = masked.into_pixels().announce(&layout, pts.as_nanos() as u64);
    send(channel, &message)
}

/// Takes slots back, and waits for one where none is free.
fn wait_for_slot(ring: &mut OutRing, channel: &OutEnd) -> Result<(), Fault> {
    loop {
        let wait = if ring.slot().is_some() { Monotonic::default() } else { Monotonic::now().plus(PATIENCE) };
        match channel.recv(wait) {
            Received::Message { msg: FromOutput::Release { ring: of, slot }, .. } => ring.released(of, slot),
            Received::Message { msg: FromOutput::Failed { text }, .. } => {
                return Err(Fault::unavailable(text.as_str()));
            }
            Received::TimedOut if ring.slot().is_some() => return Ok(()),
            Received::TimedOut => return Err(Fault::internal("the encoder hangs")),
            Received::Message { .. } | Received::Closed | Received::Garbage(_) => {
                return Err(gone(&"its socket is closed"));
            }
        }
    }
}

fn hear(channel: &OutEnd) -> Result<FromOutput, Fault> {
    match channel.recv(Monotonic::now().plus(PATIENCE)) {
        Received::Message { msg, .. } => Ok(msg),
        Received::TimedOut => Err(Fault::internal("the encoder hangs")),
        Received::Closed | Received::Garbage(_) => Err(gone(&"its socket is closed")),
    }
}

fn send(channel: &OutEnd, message: &ToOutput) -> Result<(), Fault> {
    channel.send_until(message, None, Monotonic::now().plus(PATIENCE)).map_err(|e| gone(&e))
}

/// Puts the sound of `source` beside the video of `masked`, into `file`.
pub(super) fn join(masked: &Path, source: &Path, mkv: bool, file: File) -> Result<(), Fault> {
    let paths = [masked, source].map(std::path::absolute);
    let [Ok(masked), Ok(source)] = paths else { return Err(Fault::internal("there is no current folder")) };
    let mut command = role(&["--join"]);
    command.arg(masked).arg(source).args(mkv.then_some("--mkv"));
    let output =
        command.stdin(Stdio::null()).stdout(file).stderr(Stdio::piped()).output().map_err(|e| cannot_start(&e))?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let reason = words.lines().last().map_or("", |line| line.trim_start_matches("visor: "));
    Err(Fault::input(reason).remedy("leave out --audio keep for a file without sound"))
}

/// This program in its role, with nothing of the user's environment.
fn role(arguments: &[&str]) -> Command {
    // the program that runs now, even where its file has been replaced by an update
    let mut command = Command::new("/proc/self/exe");
    command.arg0("visor").arg("encode").args(arguments).current_dir("/");
    command.env_clear().envs(ENVIRONMENT.iter().copied());
    command.envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    command
}

fn cannot_start(error: &std::io::Error) -> Fault {
    Fault::unavailable(format!("the encoder cannot be started: {error}"))
}

fn gone(what: &dyn std::fmt::Display) -> Fault {
    Fault::internal(format!("the encoder is gone: {what}"))
}

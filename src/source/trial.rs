//! A look at a source before anybody relies on it: one child, a few frames, and what came of it.

use std::sync::Arc;
use std::time::Duration;

use super::config::Settings;
use super::failure::Failure;
use super::session::{Heard, Session};
use super::spawner::{Launch, Spawner};
use super::timeline::Timeline;
use super::{Scheme, StreamInfo};
use crate::clock::Monotonic;
use crate::geometry::Size;

/// From the first frame on they are counted for so long.
const COUNTED_FOR: Duration = Duration::from_secs(1);

/// What a source gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// The pictures' size, upright.
    pub size: Size,
    /// The coding, such as `h264`.
    pub codec: String,
    /// The decoder's name.
    pub decoder: String,
    /// How it travels, where that is to be told.
    pub transport: Option<String>,
    /// Frames a second: as the source says, or else as they came; `None` where there were too few to tell.
    pub fps: Option<f64>,
    /// How long the first frame took.
    pub first_frame: Duration,
}

impl Trial {
    /// Opens the source with a child of its own, as a camera would, and closes it again. No frame leaves this. Gives up after
    /// `patience`.
    ///
    /// # Errors
    /// Why there are no frames, for people; never with a credential.
    pub fn of(name: &str, settings: &Settings, spawner: &Spawner, patience: Duration) -> Result<Self, String> {
        Self::with(name, settings, spawner, patience).map_err(|failure| settings.scrub.text(&failure.to_string()))
    }

    fn with(name: &str, settings: &Settings, children: &dyn Launch, patience: Duration) -> Result<Self, Failure> {
        let begun = Monotonic::now();
        let mut line = Timeline::new(settings.scheme != Scheme::File, settings.limits.clock_skew);
        line.begin(begun);
        let mut session = Session::start(&Arc::from(name), settings, children)?;
        let mut seen = Seen::default();
        let outcome = loop {
            let until = seen.first.map_or(begun.plus(patience), |(first, _)| first.plus(COUNTED_FOR));
            if Monotonic::now() >= until {
                break Ok(());
            }
            let Some(msg) = session.recv(until, None) else { continue };
            match msg.and_then(|msg| session.take(msg, settings, &mut line, seen.frames)) {
                Ok(Heard::Nothing) => {}
                Ok(Heard::Opened(info)) => seen.info = Some(info),
                Ok(Heard::Frame(frame, _)) => seen.frame(frame.size()),
                // a clip may be shorter than the look at it
                Ok(Heard::End) if seen.first.is_some() => break Ok(()),
                Ok(Heard::End) => break Err(Failure::Ended),
                Err(failure) => break Err(failure),
            }
        };
        // what failed gets no grace
        if outcome.is_ok() {
            session.stop(settings.limits.stop);
        }
        outcome.and_then(|()| seen.trial(begun))
    }
}

/// What came so far.
#[derive(Default)]
struct Seen {
    info: Option<StreamInfo>,
    /// When the first frame came, and its size.
    first: Option<(Monotonic, Size)>,
    last: Monotonic,
    frames: u64,
}

impl Seen {
    fn frame(&mut self, size: Size) {
        self.last = Monotonic::now();
        self.first.get_or_insert((self.last, size));
        self.frames += 1;
    }

    fn trial(self, begun: Monotonic) -> Result<Trial, Failure> {
        let Some((first, size)) = self.first else { return Err(Failure::Here("no picture came in time".to_owned())) };
        let text = |text: &crate::ring::wire::Text| text.as_str().to_owned();
        let info = self.info.as_ref();
        let span = self.last.since(first).as_secs_f64();
        let counted = (self.frames > 2 && span > 0.2).then(|| (self.frames - 1) as f64 / span);
        let told = info.and_then(|info| info.fps);
        Ok(Trial {
            size,
            codec: info.map(|info| text(&info.codec)).unwrap_or_default(),
            decoder: info.map(|info| text(&info.decoder)).unwrap_or_default(),
            transport: info.and_then(|info| info.transport.as_ref()).map(text),
            fps: told.or(counted),
            first_frame: first.since(begun),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::script::{SOON, layout, settings, stage};
    use super::*;
    use crate::ring::wire::{FailReason, Text, ToBrain};

    const CAMERA: &str = "rtsp://viewer:hunter2@camera.test/live";

    #[test]
    fn a_source_that_gives_frames_is_described_and_left() {
        let (stage, ended) = stage(|_, mut child| {
            let (codec, decoder, transport) = (Text::from("h264".to_owned()), Text::from("d".to_owned()), None);
            let (size, fps) = (Size::new(8, 8), Some(25.0));
            child.say(&ToBrain::Opened(StreamInfo {
                codec,
                decoder,
                hardware: false,
                size,
                fps,
                live: true,
                transport,
            }));
            child.show(2);
            child.live();
        });
        let trial = Trial::with("test", &settings(CAMERA), &stage, SOON).unwrap();
        assert_eq!((trial.size, &*trial.codec, trial.fps), (layout(8, 8).size, "h264", Some(25.0)));
        assert!(ended.try_recv().is_ok(), "the child is told to end");
    }

    #[test]
    fn a_source_that_gives_none_says_why_at_once() {
        let text = || Text::from("rtsp://viewer:hunter2@camera.test/live wants a password".to_owned());
        let (refusing, _ended) = stage(move |_, child| {
            child.say(&ToBrain::Failed { reason: FailReason::Unauthorised, text: text() });
        });
        let settings = settings(CAMERA);
        let failure = Trial::with("test", &settings, &refusing, SOON).unwrap_err().to_string();
        assert!(failure.contains("wants a password") && !failure.contains("hunter2"), "{failure}");
        let (silent, _ended) = stage(|_, child| child.live());
        let failure = Trial::with("test", &settings, &silent, Duration::from_millis(50)).unwrap_err();
        assert_eq!(failure.to_string(), "no picture came in time");
    }
}

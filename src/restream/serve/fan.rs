//! From a mount's encoder to whoever takes what it gives.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSrc;

/// Coded frames that wait for a taker who does not take them; then it gets nothing until it has taken all of them, and goes
/// on from a keyframe.
const WAITING: u64 = 60;

/// How long a keyframe is kept back for a player that is about to join: as long as the server takes to answer it.
const GATE: Duration = Duration::from_millis(500);

/// How long a player may wait for the keyframe that it is to begin with.
const JOINING: Duration = Duration::from_millis(1000);

/// How long frames before that keyframe are given to be gone: from the packets' maker to the socket.
const SETTLE: Duration = Duration::from_millis(10);

/// All who take one encoder's frames.
#[derive(Default)]
pub(super) struct Fan {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    takers: Vec<Taker>,
    /// Players that the next keyframe waits for.
    joining: u32,
    /// The encoder stands before that keyframe.
    at_gate: bool,
    /// Encoders so far; the last one is the present.
    encoders: u64,
}

/// Somebody who takes coded frames.
struct Taker {
    source: AppSrc,
    /// It has got a keyframe, and every frame since.
    flowing: bool,
    /// Frames go somewhere. What only prepares itself gets a keyframe to learn from, and nothing that would be old once
    /// somebody looks.
    plays: bool,
}

impl Taker {
    /// Whether it can take a frame: it knows the time.
    fn ready(&self) -> bool {
        self.source.current_state() == gst::State::Playing
    }

    fn wants_key(&self) -> bool {
        !self.flowing && self.ready() && self.source.current_level_buffers() == 0
    }

    fn takes(&self, key: bool) -> bool {
        if key { self.plays || !self.flowing } else { self.plays && self.flowing }
    }

    fn push(&self, coded: &gst::Buffer, at: gst::ClockTime) -> bool {
        let begin = self.source.base_time().unwrap_or(gst::ClockTime::ZERO);
        let time = at.saturating_sub(begin);
        let mut buffer = coded.copy();
        let header = buffer.make_mut();
        header.set_pts(time);
        header.set_dts(time);
        self.source.push_buffer(buffer).is_ok()
    }
}

impl Fan {
    /// Gives coded frames to `source` from now on; at once to a player, or once one joins.
    pub fn add(&self, source: AppSrc, plays: bool) {
        self.lock().takers.push(Taker { source, flowing: false, plays });
    }

    /// Gives it no more.
    pub fn remove(&self, source: &AppSrc) {
        self.lock().takers.retain(|taker| taker.source != *source);
    }

    /// Whether anybody takes frames.
    pub fn is_wanted(&self) -> bool {
        !self.lock().takers.is_empty()
    }

    /// Whether somebody waits for a keyframe.
    pub fn wants_key(&self) -> bool {
        let state = self.lock();
        state.joining > 0 && !state.at_gate || state.takers.iter().any(Taker::wants_key)
    }

    /// Ends it for all.
    pub fn close(&self) {
        for taker in self.lock().takers.drain(..) {
            let _ = taker.source.end_of_stream();
        }
    }

    /// Another encoder takes over; its number, for [`Fan::deliver`].
    pub fn begin(&self) -> u64 {
        let mut state = self.lock();
        state.encoders += 1;
        state.encoders
    }

    /// Hands on a frame that `encoder` coded and that is to be shown at `at`. One that was replaced may still be busy with
    /// frames from before, and those depend on others than its successor's do: they go nowhere.
    pub fn deliver(&self, encoder: u64, coded: &gst::Buffer, at: gst::ClockTime) {
        let key = !coded.flags().contains(gst::BufferFlags::DELTA_UNIT);
        let mut state = self.lock();
        if key && state.joining > 0 && encoder == state.encoders {
            state = self.stand_at_gate(state);
        }
        if encoder != state.encoders {
            return;
        }
        for taker in state.takers.iter_mut().filter(|taker| taker.ready()) {
            if taker.source.current_level_buffers() >= WAITING {
                taker.flowing = false;
            } else if taker.takes(key) {
                taker.flowing = taker.push(coded, at);
            }
        }
    }

    /// Keeps the keyframe back until those who join have joined: so it is the first that they get.
    fn stand_at_gate<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        state.at_gate = true;
        self.changed.notify_all();
        let waited = self.changed.wait_timeout_while(state, GATE, |state| state.joining > 0);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        // whoever has not come by now may have hung up
        state.joining = 0;
        state.at_gate = false;
        for taker in &mut state.takers {
            taker.plays = true;
        }
        state
    }

    /// A player is about to join: returns once the encoder stands before the keyframe that it will begin with, or does not
    /// come to it.
    pub fn join(&self) {
        let mut state = self.lock();
        state.joining += 1;
        let waited = self.changed.wait_timeout_while(state, JOINING, |state| !state.at_gate);
        drop(waited);
        std::thread::sleep(SETTLE);
    }

    /// A player has joined.
    pub fn joined(&self) {
        let mut state = self.lock();
        state.joining = state.joining.saturating_sub(1);
        for taker in &mut state.takers {
            taker.plays = true;
        }
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoder_that_was_replaced_shows_nothing_any_more() {
        crate::gst::start(&[]).unwrap();
        let pipeline = gst::parse::launch(
            "appsrc name=coded format=time is-live=true ! appsink name=shown sync=false async=false",
        )
        .unwrap();
        let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
        let coded = pipeline.by_name("coded").and_downcast::<AppSrc>().unwrap();
        let shown = pipeline.by_name("shown").and_downcast::<gstreamer_app::AppSink>().unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        let fan = Fan::default();
        fan.add(coded.clone(), true);
        let deliver = |encoder: u64, bytes: usize| {
            while coded.current_state() != gst::State::Playing {
                std::thread::yield_now();
            }
            fan.deliver(encoder, &gst::Buffer::with_size(bytes).unwrap(), gst::ClockTime::from_seconds(1));
        };
        let (first, second) = (fan.begin(), fan.begin());
        for (encoder, bytes) in [(second, 71), (first, 70), (second, 72)] {
            deliver(encoder, bytes);
        }
        let sizes = [(); 2].map(|()| shown.pull_sample().unwrap().buffer().unwrap().size());
        pipeline.set_state(gst::State::Null).unwrap();
        assert_eq!(sizes, [71, 72]);
    }
}

//! One readable line an event: into the log, or onto any writer.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::{Context, Forgotten, Settings, Sink, Snapshot, lock};
use crate::event::{Event, EventType, Identity, rfc3339};
use crate::fault::Fault;
use crate::metrics::{EVENTS_LOST, EVENTS_PUBLISHED};

/// Name of the sink that writes to the log.
pub const NAME: &str = "log";

/// Name of the sink that writes to a given writer.
const LINES: &str = "lines";

/// `[log]`: what is logged beside the daemon's own doings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// One line an event. Mind that a journal keeps it on disk. Default false.
    pub events: bool,
}

/// Events waiting for a slow terminal or journal. Full: the newest is dropped, so that lines stay in order.
const QUEUE: usize = 1024;

/// Starts the sink that writes each event to the log, where `settings` ask for it.
pub fn open(settings: &Settings, _: &Context) -> Result<Option<Arc<dyn Sink>>, Fault> {
    if !settings.log {
        return Ok(None);
    }
    let sink = LineSink::start(NAME, |event| {
        info!(
            camera = %event.camera,
            track = event.track.as_deref(),
            event = event.kind.name(),
            seq = event.seq,
            who = who(event),
            score = f64::from((event.score * 1e3).round()) / 1e3,
            zones = event.zones.join(","),
            total_ms = event.latency_ms.total,
            "face"
        );
    })?;
    Ok(Some(Arc::new(sink)))
}

/// A sink that hands events, one at a time, to a thread of its own.
pub struct LineSink {
    name: &'static str,
    queue: Mutex<Option<Sender<Arc<Event>>>>,
    /// The queue's other end, to count what is left in it.
    waiting: Receiver<Arc<Event>>,
    done: Receiver<()>,
    /// Said once for each time that the queue fills up.
    full: AtomicBool,
}

impl LineSink {
    /// Writes a line for each event to `out`, flushed.
    pub fn to(mut out: impl Write + Send + 'static) -> Result<Self, Fault> {
        // A terminal that is gone takes no more lines, and there is no other place to say so.
        Self::start(LINES, move |event| drop(writeln!(out, "{}", line(event)).and_then(|()| out.flush())))
    }

    fn start(name: &'static str, mut tell: impl FnMut(&Event) + Send + 'static) -> Result<Self, Fault> {
        let (queue, events) = bounded::<Arc<Event>>(QUEUE);
        let (end, done) = bounded(0);
        let waiting = events.clone();
        let work = move || {
            let _end = end;
            for event in events {
                tell(&event);
                metrics::counter!(EVENTS_PUBLISHED, "sink" => name).increment(1);
            }
        };
        std::thread::Builder::new()
            .name(format!("sink-{name}"))
            .spawn(work)
            .map_err(|e| Fault::internal(format!("cannot start the thread sink-{name}: {e}")))?;
        Ok(Self { name, queue: Mutex::new(Some(queue)), waiting, done, full: AtomicBool::new(false) })
    }

    fn lose(&self, count: usize) {
        metrics::counter!(EVENTS_LOST, "sink" => self.name, "reason" => "queue_full").increment(count as u64);
    }
}

impl Sink for LineSink {
    fn name(&self) -> &'static str {
        self.name
    }

    fn event(&self, event: &Arc<Event>) {
        let queue = lock(&self.queue);
        let Some(queue) = queue.as_ref() else { return };
        match queue.try_send(Arc::clone(event)) {
            Ok(()) => self.full.store(false, Ordering::Relaxed),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.lose(1);
                if !self.full.swap(true, Ordering::Relaxed) {
                    warn!(sink = self.name, queue = QUEUE, "events lost: lines are written too slowly");
                }
            }
        }
    }

    fn snapshot(&self, _: &Arc<Snapshot>) {}

    fn changed(&self) {}

    /// Its queue is a moment long, and a line that is written cannot be taken back.
    fn forget(&self, _: Forgotten<'_>) -> usize {
        0
    }

    fn succeeded_by(&self, _: &Settings) {}

    fn close(&self, deadline: Instant) {
        // The thread ends once the only sender is gone and the queue is empty.
        drop(lock(&self.queue).take());
        if !self.done.recv_deadline(deadline).is_err_and(|e| e.is_timeout()) {
            return;
        }
        let left = self.waiting.try_iter().count();
        if left > 0 {
            self.lose(left);
            warn!(sink = self.name, events = left, "events lost: lines are written too slowly to finish");
        }
    }
}

/// One event as a line in columns: time, camera, track, what happened, who, where, how sure, zones, how late or how long.
pub fn line(event: &Event) -> String {
    let captured_at = rfc3339(event.captured_at);
    let time = captured_at.get(11..23).unwrap_or_default();
    let b = event.rect;
    let percent = |v: f64| (v * 100.0).round();
    let place = format!("{}%,{}% {}%×{}%", percent(b.x), percent(b.y), percent(b.w), percent(b.h));
    let zones = if event.zones.is_empty() { "-".to_owned() } else { event.zones.join(",") };
    let note = match (event.kind, event.latency_ms.total) {
        (EventType::Ended, _) => format!("seen for {:.1} s", seen_for(event).as_secs_f64()),
        (_, Some(total)) => format!("{total:.1} ms"),
        (_, None) => String::new(),
    };
    let kind = event.kind.name();
    let (camera, track) = (&event.camera, event.track.as_deref().unwrap_or("-"));
    let who = who(event);
    format!("{time}  {camera:<10} {track:<14} {kind:<10} {who:<18} {place:<18} {:.2}  {zones:<10} {note}", event.score)
        .trim_end()
        .to_owned()
}

/// Who it is, for people: a name and how near, an alias, or why there is none.
fn who(event: &Event) -> String {
    let Identity { name, alias, score, reason, .. } = &event.identity;
    match (name, alias, reason) {
        (Some(name), ..) => format!("{name} {:.2}", score.unwrap_or_default()),
        (None, Some(alias), _) => alias.to_string(),
        (None, None, Some("recognition_off") | None) => "-".to_owned(),
        (None, None, Some(reason)) => format!("? {reason}"),
    }
}

fn seen_for(event: &Event) -> Duration {
    event.last_seen.duration_since(event.first_seen).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::unbounded;

    use super::*;
    use crate::event::fixture;
    use crate::recognise;

    /// A writer that waits for leave before each line.
    struct Slow(Receiver<()>, Sender<String>);

    impl Write for Slow {
        fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
            self.0.recv().map_err(|_| std::io::ErrorKind::BrokenPipe)?;
            self.1.send(String::from_utf8_lossy(text).into_owned()).map_err(|_| std::io::ErrorKind::BrokenPipe)?;
            Ok(text.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_has_columns() {
        let started = fixture::event("front", 7);
        assert_eq!(
            line(&started),
            "00:00:00.000  front      front-7        started    -                  41%,22% 5%×9%      0.93  porch      38.5 ms"
        );
        let ended = Event { kind: EventType::Ended, zones: Vec::new(), ..started.as_ref().clone() };
        assert_eq!(
            line(&ended),
            "00:00:00.000  front      front-7        ended      -                  41%,22% 5%×9%      0.93  -          seen for 3.2 s"
        );
        let known =
            recognise::Identity::Known { person: "alice".into(), name: "Alice".into(), score: 0.714, margin: None };
        let named = Event { identity: (&known).into(), ..ended.clone() };
        assert!(line(&named).contains(" ended      Alice 0.71         41%"), "{}", line(&named));
        let small = recognise::Identity::Undecided { reason: Some(recognise::Reason::TooSmall) };
        let unnamed = Event { identity: (&small).into(), ..ended };
        assert!(line(&unnamed).contains(" ended      ? too_small        41%"), "{}", line(&unnamed));
    }

    #[test]
    fn lines_come_in_order_and_all_before_the_end() {
        let (leave, wait) = unbounded();
        let (out, lines) = unbounded();
        let sink = LineSink::to(std::io::LineWriter::new(Slow(wait, out))).unwrap();
        (1..=3).for_each(|seq| sink.event(&fixture::event("front", seq)));
        (0..100).for_each(|_| leave.send(()).unwrap());
        sink.close(Instant::now() + Duration::from_secs(20));
        let text: String = lines.try_iter().collect();
        let tracks: Vec<&str> = text.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
        assert_eq!(tracks, ["front-1", "front-2", "front-3"]);
    }

    #[test]
    fn a_terminal_that_hangs_holds_up_nobody() {
        let (_leave, wait) = unbounded();
        let (out, _lines) = unbounded();
        let sink = LineSink::to(Slow(wait, out)).unwrap();
        (0..3 * QUEUE as u64).for_each(|seq| sink.event(&fixture::event("front", seq)));
        assert!(sink.full.load(Ordering::Relaxed));
        sink.close(Instant::now());
        assert!(sink.waiting.is_empty());
    }
}

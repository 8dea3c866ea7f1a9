//! What is at a path: its frames, its slate, and its encoder while somebody watches.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Link;
use super::encoder::{Encoder, Key, Recipe};
use super::fan::Fan;
use super::pace::{self, Pace};
use super::slate::{self, Slate};
use super::stage::Stage;
use crate::clock::Monotonic;
use crate::fault::Fault;
use crate::frame::Layout;
use crate::geometry::Size;
use crate::ring::out::{FromOutput, OutMemory, OutputEnd, ToOutput};
use crate::ring::server::{FromServer, MountSettings};
use crate::ring::wire::{NoticeLevel, Received};

/// No frame for so long, and the slate takes its place.
const SILENCE: Duration = Duration::from_secs(1);

/// From one slate to the next.
const SLATES: Duration = Duration::from_millis(200);

/// How often a mount looks after its encoder while no frame comes.
const TICK: Duration = Duration::from_millis(50);

/// A mount whose thread has not come round for so long is stuck: in an encoder that does not start, as a rule. The first use of
/// a graphics card may take seconds.
const STUCK: Duration = Duration::from_secs(5);

/// Of a camera that has not shown anything yet.
const USUAL_SIZE: Size = Size::new(1280, 720);

/// What is at a path.
pub(super) struct Mount {
    pub id: u32,
    pub settings: MountSettings,
    pub fan: Arc<Fan>,
    /// Frames that the encoder had no time for.
    dropped: AtomicU64,
    /// What its players share.
    pub stage: Stage,
    /// What was said last: who watches, and frames dropped.
    said: Mutex<(u32, u64)>,
    /// When its thread came round last.
    round_ns: AtomicU64,
    ended: AtomicBool,
}

impl Mount {
    /// Starts the thread that minds it.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(id: u32, settings: MountSettings, frames: OutputEnd, link: &Arc<Link>) -> Result<Arc<Self>, Fault> {
        let name = format!("out-{}", settings.path);
        let (fan, dropped, stage, said, ended) = Default::default();
        let round_ns = AtomicU64::new(Monotonic::now().as_nanos());
        let mount = Arc::new(Self { id, settings, fan, dropped, stage, said, round_ns, ended });
        let worker = Worker {
            mount: Arc::clone(&mount),
            link: Arc::clone(link),
            frames: Arc::new(frames),
            memory: None,
            pace: Pace::expecting(mount.settings.fps),
            form: mount.settings.size.map(slate::layout),
            slate: None,
            encoder: None,
            software: false,
            watched: None,
            noted: String::new(),
            frame_at: None,
            slate_at: Monotonic::default(),
            key: false,
        };
        std::thread::Builder::new()
            .name(name)
            .spawn(move || worker.work())
            .map_err(|error| Fault::internal(format!("cannot start a thread: {error}")))?;
        Ok(mount)
    }

    /// How it does, where that is not what was said last.
    pub fn stats(&self) -> Option<FromServer> {
        let clients = self.stage.watched_by();
        let dropped = self.dropped.load(Ordering::Relaxed);
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let news = *said != (clients, dropped);
        *said = (clients, dropped);
        news.then_some(FromServer::Stats { id: self.id, clients, dropped })
    }

    /// Whether nothing comes from here any more.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Gives the mount up where its thread is stuck: to be asked from another one, again and again.
    pub fn give_up_stuck(self: &Arc<Self>, link: &Link) {
        let round = Monotonic::from_nanos(self.round_ns.load(Ordering::Acquire));
        if round.elapsed() > STUCK {
            let text = format!("its encoder hangs as it starts, for {} s now", STUCK.as_secs());
            self.give_up(link, Loss { hung: true, fault: Fault::unavailable(text) });
        }
    }

    /// Ends it for good and says so; not where it has ended already.
    fn give_up(self: &Arc<Self>, link: &Link, Loss { hung, fault }: Loss) {
        if self.end() {
            link.say(&FromServer::Lost { id: self.id, hung, text: fault.to_string().into() });
        }
    }

    /// Nothing comes from here any more. False where that was so before.
    pub fn end(self: &Arc<Self>) -> bool {
        if self.ended.swap(true, Ordering::AcqRel) {
            return false;
        }
        self.fan.close();
        let mount = Arc::clone(self);
        // what a player is at may take long
        let _ = std::thread::Builder::new().name("dismiss".to_owned()).spawn(move || mount.stage.dismiss());
        true
    }
}

/// Why a mount is given up.
struct Loss {
    /// Its encoder hangs.
    hung: bool,
    fault: Fault,
}

impl From<Fault> for Loss {
    fn from(fault: Fault) -> Self {
        Self { hung: false, fault }
    }
}

/// The memory of a ring, and its number.
struct Memory {
    ring: u32,
    map: OutMemory,
}

/// A frame in the ring, which goes back when it is dropped.
struct Slot {
    frames: Arc<OutputEnd>,
    memory: Arc<Memory>,
    slot: u32,
}

impl AsRef<[u8]> for Slot {
    fn as_ref(&self) -> &[u8] {
        self.memory.map.slot(self.slot)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // the socket has room for as many of these as a ring has slots; a brain that is gone needs none
        let _ = self.frames.send(&FromOutput::Release { ring: self.memory.ring, slot: self.slot }, None);
    }
}

/// The mount's thread.
struct Worker {
    mount: Arc<Mount>,
    link: Arc<Link>,
    frames: Arc<OutputEnd>,
    memory: Option<Arc<Memory>>,
    pace: Pace,
    /// The size that goes out, once it is known.
    form: Option<Layout>,
    slate: Option<Slate>,
    encoder: Option<Encoder>,
    /// Hardware has failed here.
    software: bool,
    /// Whether somebody watches, as the brain was told last.
    watched: Option<bool>,
    /// What was noted of an encoder last: with players that come and go the next is mostly the same.
    noted: String,
    /// When the last frame came.
    frame_at: Option<Monotonic>,
    slate_at: Monotonic,
    /// The next frame is to be a keyframe.
    key: bool,
}

impl Worker {
    fn work(mut self) {
        while !self.mount.has_ended() {
            self.mount.round_ns.store(Monotonic::now().as_nanos(), Ordering::Release);
            self.tell();
            let received = self.frames.recv(Monotonic::now().plus(TICK));
            let done = match received {
                Received::Message { msg, fd } => self.take(msg, fd),
                Received::TimedOut => self.idle(),
                // the brain gives up a mount whose frames it cannot send
                Received::Closed | Received::Garbage(_) => Err(Fault::unavailable("its frames come no more")),
            };
            if let Err(loss) = done.map_err(Loss::from).and_then(|()| self.watch()) {
                return self.mount.give_up(&self.link, loss);
            }
        }
    }

    fn take(&mut self, message: ToOutput, fd: Option<std::os::fd::OwnedFd>) -> Result<(), Fault> {
        match message {
            ToOutput::Ring { id, slots, slot_bytes } => {
                let fd = fd.ok_or_else(|| Fault::internal("a ring without its memory"))?;
                let map =
                    OutMemory::map(fd, slots, slot_bytes).map_err(|e| Fault::internal(format!("no ring: {e}")))?;
                self.memory = Some(Arc::new(Memory { ring: id, map }));
                Ok(())
            }
            ToOutput::Frame { slot, layout, pts_ns, key } => {
                let memory = self.memory.as_ref().ok_or_else(|| Fault::internal("a frame without a ring"))?;
                let slot = Slot { frames: Arc::clone(&self.frames), memory: Arc::clone(memory), slot };
                self.key |= key;
                self.frame(slot, &layout, Duration::from_nanos(pts_ns))
            }
            ToOutput::Passed { layout, pts_ns } => {
                self.arrived(&layout, Duration::from_nanos(pts_ns));
                Ok(())
            }
            ToOutput::Encode(_) | ToOutput::End => Ok(()),
        }
    }

    /// Lets the brain know whether frames are wanted: it paints none that nobody would see.
    fn tell(&mut self) {
        let by_somebody = self.mount.fan.is_wanted();
        if self.watched != Some(by_somebody) && self.frames.send(&FromOutput::Watched { by_somebody }, None).is_ok() {
            self.watched = Some(by_somebody);
        }
    }

    fn frame(&mut self, slot: Slot, layout: &Layout, pts: Duration) -> Result<(), Fault> {
        let place = self.arrived(layout, pts);
        self.show(slot, layout, place)
    }

    /// A frame is here, or was; the form in which it goes out, and when it is to be shown.
    fn arrived(&mut self, layout: &Layout, pts: Duration) -> (Layout, Option<Duration>) {
        let now = Monotonic::now();
        self.frame_at = Some(now);
        if self.form.is_none() {
            // until now only a slate was shown, of a size that was guessed
            self.encoder = None;
        }
        let form = *self.form.get_or_insert(*layout);
        self.pace.measure(pts);
        if self.pace.is_off() {
            // players would count wrongly; the next encoder tells them better
            self.encoder = None;
        }
        (form, Some(pts))
    }

    /// Encodes a picture, if anybody watches: a frame with its own time, or a slate, which has none.
    fn show<B>(&mut self, pixels: B, layout: &Layout, (form, pts): (Layout, Option<Duration>)) -> Result<(), Fault>
    where
        B: AsRef<[u8]> + Send + 'static,
    {
        if !self.mount.fan.is_wanted() {
            self.encoder = None;
            return Ok(());
        }
        if self.encoder.is_none() {
            self.encoder = Some(self.start(form)?);
        }
        let Some(encoder) = &mut self.encoder else { return Ok(()) };
        let now = since_origin(Monotonic::now());
        let at = match pts {
            _ if encoder.is_behind() => None,
            Some(pts) => self.pace.frame(pts, now),
            None => self.pace.slate(now),
        };
        let Some(at) = at else {
            self.mount.dropped.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        };
        let own = std::mem::take(&mut self.key).then_some(Key::Own);
        let key = own.or_else(|| self.mount.fan.wants_key().then_some(Key::Asked));
        encoder.push(pixels, layout, at, key).or_else(|fault| self.failed(fault))
    }

    fn start(&mut self, form: Layout) -> Result<Encoder, Fault> {
        let rate = self.pace.settle();
        let Mount { settings, fan, id, .. } = &*self.mount;
        let recipe = Recipe {
            codec: settings.codec,
            bitrate_kbps: settings.bitrate_kbps,
            form,
            rate,
            software: self.software,
            pipelines: settings.pipelines.as_deref(),
        };
        let encoder = Encoder::start(&recipe, fan)?;
        let size = form.size;
        let kind = if encoder.chosen.hardware { "hardware" } else { "software" };
        let text = format!(
            "{}x{} at {:.2} frames a second are encoded by {} ({kind})",
            size.width,
            size.height,
            pace::per_second(rate),
            encoder.chosen.element
        );
        if self.noted != text {
            self.link.notice(Some(*id), NoticeLevel::Info, &text);
            self.noted = text;
        }
        Ok(encoder)
    }

    /// No frame has come for a while.
    fn idle(&mut self) -> Result<(), Fault> {
        let now = Monotonic::now();
        if !self.mount.fan.is_wanted() {
            self.encoder = None;
            return Ok(());
        }
        let silent = self.frame_at.is_none_or(|at| now.since(at) >= SILENCE);
        if !silent || now.since(self.slate_at) < SLATES {
            return Ok(());
        }
        self.slate_at = now;
        let slate = self.slate();
        self.show(slate.clone(), &slate.layout, (self.form.unwrap_or(slate.layout), None))
    }

    /// The slate in the size that goes out.
    fn slate(&mut self) -> Slate {
        let size = self.form.map_or(USUAL_SIZE, |form| form.size);
        let drawn = self.slate.take().filter(|slate| slate.layout.size == size);
        self.slate.insert(drawn.unwrap_or_else(|| Slate::new(size))).clone()
    }

    fn watch(&mut self) -> Result<(), Loss> {
        let Some(encoder) = &self.encoder else { return Ok(()) };
        if encoder.hangs() {
            let fault = Fault::unavailable(format!("{} hangs", encoder.chosen.element));
            return Err(Loss { hung: true, fault });
        }
        match encoder.failure() {
            Some(fault) => self.failed(fault).map_err(Loss::from),
            None => Ok(()),
        }
    }

    /// The encoder has failed: hardware that never worked is replaced by software, and anything else ends the mount.
    fn failed(&mut self, fault: Fault) -> Result<(), Fault> {
        match self.encoder.take() {
            Some(encoder) if encoder.chosen.hardware && !encoder.has_worked() => {
                let text = format!("the hardware encoder failed, going on in software: {fault}");
                self.link.notice(Some(self.mount.id), NoticeLevel::Warn, &text);
                self.software = true;
                Ok(())
            }
            _ => Err(fault),
        }
    }
}

fn since_origin(now: Monotonic) -> Duration {
    Duration::from_nanos(now.as_nanos())
}

//! The gallery's own thread: reads its folder, takes pictures in, forgets people. Nothing that it does holds up a camera
//! or a signal.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, select, tick};
use tracing::{error, warn};

use super::Engine;
use super::reading::{self, Pace};
use crate::fault::Fault;
use crate::infer::Model;
use crate::metrics::GALLERY_FACES;
use crate::pipeline::{FaceModels, Recognition};
use crate::recognise::gallery::enroller::Enroller;
use crate::recognise::gallery::folder::Folder;
use crate::recognise::{Config, People, Strangers};
use crate::sink::{Hub, PersonCommand, PersonWish};

mod desk;
mod visitors;

use desk::Desk;

/// How often people whose time is over are looked for.
const TICK: Duration = Duration::from_millis(500);

/// How long the thread may take to end.
const PATIENCE: Duration = Duration::from_secs(1);

/// What recognition is to work with from now on; the same as before means that the folder is read again.
struct Order {
    models: Option<FaceModels>,
    settings: Config,
}

/// The gallery's thread. Dropping it ends it.
pub struct Keeper {
    /// Holds one: a newer order takes the place of one that waits.
    orders: (Sender<Order>, Receiver<Order>),
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts the thread, which has nothing to keep yet.
    pub fn start(engine: Arc<Engine>, hub: Hub) -> Result<Self, Fault> {
        let orders = bounded::<Order>(1);
        let stop = Arc::new(AtomicBool::new(false));
        let desk = Desk {
            wishes: hub.person_commands(),
            hub,
            waiting: VecDeque::new(),
            before: None,
            recognition: Arc::clone(engine.recognition()),
            stop: Arc::clone(&stop),
        };
        let mut work = Work { engine, desk, kept: None };
        let incoming = orders.1.clone();
        let thread = std::thread::Builder::new()
            .name("gallery".to_owned())
            .spawn(move || work.run(&incoming))
            .map_err(|e| Fault::unavailable(format!("cannot start the thread gallery: {e}")))?;
        Ok(Self { orders, stop, thread: Some(thread) })
    }

    /// Has recognition work with these models (`None`: none) and settings from then on. The folder is read first, and
    /// read again where all else is as before.
    pub fn apply(&self, models: Option<FaceModels>, settings: &Config) {
        let (sender, waiting) = &self.orders;
        let mut order = Order { models, settings: settings.clone() };
        while let Err(crossbeam_channel::TrySendError::Full(back)) = sender.try_send(order) {
            let _ = waiting.try_recv();
            order = back;
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let deadline = Instant::now() + PATIENCE;
        let Some(thread) = self.thread.take() else { return };
        while !thread.is_finished() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        if !thread.is_finished() {
            warn!("the gallery's thread does not end; it is left behind");
        }
    }
}

/// The thread's own.
struct Work {
    engine: Arc<Engine>,
    desk: Desk,
    kept: Option<Kept>,
}

/// A gallery, and what fills it.
struct Kept {
    models: FaceModels,
    settings: Config,
    people: People,
    folder: Option<Folder>,
    enroller: Enroller,
    /// The detector that the enroller was made with.
    detector: Arc<Model>,
}

impl Work {
    fn run(&mut self, orders: &Receiver<Order>) {
        let ticks = tick(TICK);
        while !self.desk.stopped() {
            while let Some(command) = self.desk.waiting.pop_front() {
                self.obey(command);
            }
            select! {
                recv(orders) -> order => match order {
                    Ok(order) => self.apply(order),
                    Err(_) => return,
                },
                recv(self.desk.wishes) -> command => command.into_iter().for_each(|command| self.obey(command)),
                recv(ticks) -> _ => {}
            }
            self.desk.look_after(self.kept.as_ref().map(|kept| &kept.people));
        }
    }

    /// Takes on what is ordered. What cannot be done leaves everything as it was.
    fn apply(&mut self, Order { models, settings }: Order) {
        let Some(models) = models else {
            if let Some(old) = self.kept.take() {
                reading::say_who_is_lost(&old.people.gallery);
            }
            self.desk.hub.known_by(|_| false);
            self.engine.recognise_with(None);
            metrics::gauge!(GALLERY_FACES).set(0.0);
            return self.desk.hub.people_read();
        };
        let kept = match self.kept.take_if(|kept| Arc::ptr_eq(&kept.models.embedder, &models.embedder)) {
            Some(kept) => kept.adjusted(models, settings, &self.engine),
            None => Kept::new(models, settings, &self.engine),
        };
        match kept {
            Ok(mut kept) => {
                self.desk.before = self.engine.recognition().load().as_ref().map(|now| now.people.gallery.clone());
                kept.read(&mut self.desk);
                self.desk.before = None;
                self.present(kept);
            }
            Err(fault) => error!(error = %fault, "the gallery cannot be made"),
        }
    }

    /// From now on cameras use this gallery.
    fn present(&mut self, kept: Kept) {
        if let Some(old) =
            self.kept.as_ref().filter(|old| old.people.gallery.settings().model != kept.people.gallery.settings().model)
        {
            reading::carry_over(&old.people.gallery, &kept.people.gallery);
        }
        let (hub, gallery) = (&self.desk.hub, kept.people.gallery.clone());
        hub.known_by(move |person| gallery.holds(person));
        let people = kept.people.gallery.people();
        let shown: Vec<_> = people.iter().map(|person| (person.id.shared(), Arc::clone(&person.name))).collect();
        hub.enrolled(shown.iter().map(|(id, name)| (id, name)));
        hub.people_read();
        // A gallery that nobody came into has not said so.
        metrics::gauge!(GALLERY_FACES).set(kept.people.gallery.references() as f64);
        let unchanged = self.engine.recognition().load().as_ref().is_some_and(|now| kept.is_in(now));
        if !unchanged {
            let Kept { models, people, .. } = &kept;
            let recognition = Recognition { models: models.clone(), people: people.clone() };
            self.engine.recognise_with(Some(Arc::new(recognition)));
        }
        self.kept = Some(kept);
    }

    fn obey(&mut self, command: PersonCommand) {
        let PersonCommand { person, wish, answer } = command;
        answer(match (&mut self.kept, wish) {
            (None, PersonWish::ForgetAll) => self.desk.erase(None),
            (None, _) => desk::recognition_off(),
            (Some(kept), PersonWish::Enrol(picture)) => self.desk.enrol(&person, &picture, kept, &self.engine),
            (Some(kept), wish) => self.desk.grant(&person, wish, &kept.people),
        });
    }
}

impl Kept {
    /// An empty gallery for these models.
    fn new(models: FaceModels, settings: Config, engine: &Engine) -> Result<Self, Fault> {
        let people = models.people(&settings)?;
        Self::with(people, None, (models, settings), engine)
    }

    fn with(
        people: People,
        folder: Option<Folder>,
        (models, settings): (FaceModels, Config),
        engine: &Engine,
    ) -> Result<Self, Fault> {
        engine.watch(&models.embedder);
        models.landmarker.iter().for_each(|model| engine.watch(model));
        let detector = engine.detector().load_full();
        let enroller = models.enroller(&detector, &people.gallery)?;
        let folder = folder.or_else(|| settings.folder.as_deref().map(Folder::new));
        Ok(Self { models, settings, people, folder, enroller, detector })
    }

    /// The same people under other settings.
    fn adjusted(self, models: FaceModels, settings: Config, engine: &Engine) -> Result<Self, Fault> {
        let Self { settings: old, people: People { mut gallery, mut strangers }, mut folder, .. } = self;
        let tuning = |settings: &Config| (settings.threshold, settings.margin, settings.tags.clone());
        if tuning(&old) != tuning(&settings) {
            gallery = gallery.retuned(settings.threshold, settings.margin, settings.tags.clone());
        }
        if old.stranger_ttl != settings.stranger_ttl {
            strangers = Strangers::new(settings.stranger_ttl.0, gallery.settings().calibration);
        }
        if old.folder != settings.folder
            && let Some(folder) = folder.take()
        {
            folder.leave(&gallery);
        }
        Self::with(People { gallery, strangers }, folder, (models, settings), engine)
    }

    /// Whether cameras use just this already.
    fn is_in(&self, now: &Recognition) -> bool {
        Arc::ptr_eq(&now.models.embedder, &self.models.embedder)
            && now.people.gallery.is(&self.people.gallery)
            && now.people.strangers.is(&self.people.strangers)
    }

    /// Looks with the detector that is in use now.
    fn keep_up(&mut self, engine: &Engine) {
        let detector = engine.detector().load_full();
        if Arc::ptr_eq(&detector, &self.detector) {
            return;
        }
        match self.models.enroller(&detector, &self.people.gallery) {
            Ok(enroller) => (self.enroller, self.detector) = (enroller, detector),
            Err(fault) => warn!(error = %fault, "pictures are looked at with the detector from before"),
        }
    }

    /// Reads what has changed in the folder.
    fn read(&mut self, desk: &mut Desk) {
        let Self { folder: Some(folder), enroller, people, .. } = self else { return };
        let mut pace = Pace::default();
        let read = folder.load(enroller, &mut |progress| {
            pace.say(progress);
            desk.attend(people);
            if desk.stopped() { std::ops::ControlFlow::Break(()) } else { std::ops::ControlFlow::Continue(()) }
        });
        match read {
            Ok(report) => reading::say(&report, &people.gallery),
            Err(fault) => error!(error = %fault, "the gallery's folder cannot be read; who is known stays"),
        }
    }
}

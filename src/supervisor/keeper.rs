//! The gallery's own thread: reads its folder, takes pictures in, forgets people. Nothing that it does holds up a camera
//! or a signal.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, Sender, bounded, select, tick};
use tracing::{error, info, warn};

use super::Engine;
use super::reading::{self, Pace};
use crate::clock::Monotonic;
use crate::fault::Fault;
use crate::infer::Model;
use crate::metrics::GALLERY_FACES;
use crate::pipeline::{FaceModels, Recognition};
use crate::recognise::gallery::PersonId;
use crate::recognise::gallery::enroller::{Enroller, Who};
use crate::recognise::gallery::folder::Folder;
use crate::recognise::{Config, Gallery, People, Strangers};
use crate::sink::{GalleryStats, Hub, PersonAnswer, PersonCommand, PersonWish};

/// How often people whose time is over are looked for.
const TICK: Duration = Duration::from_millis(500);

/// Pictures that wait while the folder is being read; more are refused, and whoever asked is told.
const WAITING: usize = 32;

/// How long the thread may take to end.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where references come from that were sent in.
const SENT_IN: &str = "mqtt";

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

/// Whoever comes with a wish.
struct Desk {
    hub: Hub,
    wishes: Receiver<PersonCommand>,
    /// What came while the folder was being read.
    waiting: VecDeque<PersonCommand>,
    /// What cameras use while another one is being made.
    before: Option<Gallery>,
    stop: Arc<AtomicBool>,
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
            self.kept = None;
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
                self.desk.before = self.kept.as_ref().map(|kept| kept.people.gallery.clone());
                kept.read(&mut self.desk);
                self.desk.before = None;
                self.present(kept);
            }
            Err(fault) => error!(error = %fault, "the gallery cannot be made"),
        }
    }

    /// From now on cameras use this gallery.
    fn present(&mut self, kept: Kept) {
        if let Some(old) = &self.kept {
            reading::say_who_is_lost(&old.people.gallery, &kept.people.gallery, SENT_IN);
        }
        let hub = &self.desk.hub;
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
        let Some(kept) = &mut self.kept else { return answer(&recognition_off()) };
        answer(&match wish {
            PersonWish::Forget => self.desk.forget(&person, &kept.people.gallery),
            PersonWish::Enrol(picture) => self.desk.enrol(&person, &picture, kept, &self.engine),
        });
    }
}

fn recognition_off() -> PersonAnswer {
    PersonAnswer::NotNow("recognition_off", "there is no embedder, or the gallery is still being made".to_owned())
}

impl Desk {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// What cannot wait until the folder has been read: to forget, and to see who has left.
    fn attend(&mut self, people: &People) {
        let commands: Vec<_> = self.wishes.try_iter().take(WAITING).collect();
        for command in commands {
            match command.wish {
                PersonWish::Forget => (command.answer)(&self.forget(&command.person, &people.gallery)),
                PersonWish::Enrol(_) if self.waiting.len() < WAITING => self.waiting.push_back(command),
                PersonWish::Enrol(_) => {
                    let detail = "the gallery's folder is being read; try again".to_owned();
                    (command.answer)(&PersonAnswer::NotNow("busy", detail));
                }
            }
        }
        self.look_after(Some(people));
    }

    fn forget(&self, person: &str, gallery: &Gallery) -> PersonAnswer {
        let before = self.before.as_ref().is_some_and(|before| before.forget(person));
        let known = gallery.forget(person) || before;
        self.hub.forget(person);
        info!(person, known, "forgotten");
        PersonAnswer::Forgotten(known)
    }

    fn enrol(&self, person: &str, picture: &[u8], kept: &mut Kept, engine: &Engine) -> PersonAnswer {
        let enrolled = PersonId::new(person).and_then(|id| {
            let source = SENT_IN.into();
            let name = String::new();
            let who = Who { id: Some(id), name, tags: Vec::new(), expires: None, negative: false, source };
            kept.keep_up(engine);
            kept.enroller.enrol(&who, picture)
        });
        match enrolled {
            Ok(receipt) => {
                let known = kept.people.gallery.person(&receipt.person);
                let shown = known.map(|person| (person.id.shared(), Arc::clone(&person.name)));
                self.hub.enrolled(shown.iter().map(|(id, name)| (id, name)));
                info!(person, added = receipt.added.len(), duplicates = receipt.duplicates, "enrolled");
                PersonAnswer::Enrolled(receipt)
            }
            Err(rejection) => {
                info!(person, reason = rejection.reason.word(), detail = rejection.detail, "not enrolled");
                PersonAnswer::Refused(rejection)
            }
        }
    }

    /// Ends whose time is over.
    fn look_after(&self, people: Option<&People>) {
        let Some(People { gallery, strangers }) = people else {
            self.hub.gallery_stats(GalleryStats::default());
            return self.hub.look_after_people(|_| false);
        };
        for person in gallery.sweep(SystemTime::now()) {
            self.hub.forget(&person);
            info!(person = &*person, "forgotten: the time is over");
        }
        strangers.sweep(Monotonic::now());
        self.hub.gallery_stats(GalleryStats { people: gallery.size(), references: gallery.references() });
        self.hub.look_after_people(|person| gallery.holds(person));
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

//! The one place where events get their numbers.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, Sender, bounded};
use uuid::Uuid;

mod order;
mod parking;

use order::Order;
use parking::Parking;

use super::appearances::{Appearances, Who};
use super::board::{Board, CameraStats, CameraStatus, GalleryStats};
use super::presence::Roster;
use super::{
    Context, Forgotten, PersonCommand, Previews, SINKS, Settings, Sink, Snapshot, Subject, Subjects, Switch,
    SwitchWishes, lock,
};
use crate::clock::Monotonic;
use crate::event::{Draft, TrackNumbers};
use crate::fault::Fault;

/// Users' wishes waiting for the gallery; pictures are large. Full: the newest is refused, and the sink that brought it says
/// so.
const PEOPLE: usize = 32;

/// Numbers events and hands them to all sinks in one order; holds the board. Clones are the same hub.
#[derive(Clone)]
pub struct Hub {
    shared: Arc<Shared>,
}

struct Shared {
    board: Arc<Board>,
    order: Mutex<Order>,
    switches: Arc<SwitchWishes>,
    people: (Sender<PersonCommand>, Receiver<PersonCommand>),
    previews: Previews,
    appearances: Appearances,
    subjects: Subjects,
}

impl Hub {
    /// A hub without sinks, under a new boot id.
    pub fn new() -> Self {
        let board = Arc::new(Board::new(Uuid::new_v4().to_string().into()));
        let (order, switches, previews, appearances, subjects) = Default::default();
        let shared = Shared { board, order, switches, people: bounded(PEOPLE), previews, appearances, subjects };
        Self { shared: Arc::new(shared) }
    }

    /// Starts every sink that `settings` ask for and that does not run yet.
    pub fn open(&self, settings: &Settings) -> Result<(), Fault> {
        for line in SINKS {
            if self.runs(line.name) {
                continue;
            }
            if let Some(sink) = (line.open)(settings, &self.context())? {
                self.attach(sink);
            }
        }
        Ok(())
    }

    /// Has the sink called `name` go on under `settings`, or closes it by `deadline` and starts it anew if they still ask for it.
    pub fn reopen(&self, name: &str, settings: &Settings, deadline: Instant) -> Result<(), Fault> {
        let old = lock(&self.shared.order).sinks.clone();
        for sink in old.iter().filter(|sink| sink.name() == name) {
            if sink.goes_on_under(settings, deadline)? {
                return Ok(());
            }
            sink.succeeded_by(settings);
        }
        let lines = SINKS.iter().filter(|line| line.name == name);
        self.change_over(name, deadline, || {
            let opened: Result<Vec<_>, Fault> = lines.map(|line| (line.open)(settings, &self.context())).collect();
            Ok(opened?.into_iter().flatten().next())
        })
    }

    /// Puts what `open` gives in the place of the sink called `name`; events published meanwhile wait for it.
    fn change_over(
        &self,
        name: &str,
        deadline: Instant,
        open: impl FnOnce() -> Result<Option<Arc<dyn Sink>>, Fault>,
    ) -> Result<(), Fault> {
        let parking = Arc::new(Parking::new(name, &self.shared.board));
        let old = lock(&self.shared.order).park(name, &parking);
        close_all(&old, deadline);
        lock(&self.shared.order).pass_on(&parking);
        let opened = open();
        let new = opened.as_ref().ok().cloned().flatten();
        let mut order = lock(&self.shared.order);
        match &new {
            Some(new) => {
                parking.take().iter().for_each(|event| new.event(event));
                new.changed();
            }
            None if opened.is_err() => parking.lose(),
            None => parking.dissolve(),
        }
        order.replace(parking::NAME, new);
        opened.map(drop)
    }

    fn context(&self) -> Context {
        let Shared { board, switches, people, .. } = &*self.shared;
        Context { board: Arc::clone(board), switches: Arc::clone(switches), people: people.0.clone() }
    }

    /// Adds a running sink; it gets every event published from now on.
    pub fn attach(&self, sink: Arc<dyn Sink>) {
        sink.changed();
        lock(&self.shared.order).sinks.push(sink);
    }

    /// Closes all sinks at once, each by `deadline`: the end of a daemon. Called again it does not wait for those that are
    /// still being closed beyond the new deadline: they say what they have lost.
    pub fn close(&self, deadline: Instant) {
        self.shared.previews.close();
        let sinks = lock(&self.shared.order).dismiss();
        close_all(&sinks, deadline);
    }

    /// Publishes `drafts` in order: gives each its numbers and hands it to every sink.
    pub fn publish(&self, drafts: Vec<Draft>) {
        if drafts.is_empty() {
            return;
        }
        let mut order = lock(&self.shared.order);
        let mut moved = false;
        for draft in drafts {
            let number = order.next(draft.camera(), &self.shared.board);
            let event = order.without_unknown(Arc::new(draft.publish(number)));
            let now = Instant::now();
            moved |= lock(&self.shared.board.roster).hear(&event, now);
            self.shared.appearances.hear(&event);
            self.shared.board.chart(&event.camera, |chart| chart.hear(now, &event));
            order.sinks.iter().for_each(|sink| sink.event(&event));
        }
        if moved {
            order.sinks.iter().for_each(|sink| sink.changed());
        }
    }

    /// Takes in all tracks of `camera` that are in sight, as a frame that came at `arrived` shows them; nobody of them who
    /// was forgotten while it was looked at.
    pub fn see(&self, camera: &Arc<str>, arrived: Monotonic, mut present: Vec<Subject>) {
        let order = lock(&self.shared.order);
        let was_erased = order.erased_at.is_some_and(|erased| arrived <= erased);
        present.retain(|subject| !was_erased && subject.person().is_none_or(|person| order.knows(person)));
        self.shared.subjects.see(camera, present);
    }

    /// How often pictures have been withdrawn: for [`Hub::show`], asked before a picture is taken out of where
    /// [`Sink::withdraw`] would find it.
    pub fn withdrawals(&self) -> u64 {
        lock(&self.shared.order).withdrawals
    }

    /// Hands a track's best shot to every sink; false where its camera's were withdrawn since `withdrawals` was asked, or
    /// whom it shows was forgotten.
    pub fn show(&self, snapshot: &Arc<Snapshot>, withdrawals: u64) -> bool {
        let order = lock(&self.shared.order);
        let withdrawn = order.withdrawn.get(&*snapshot.camera).copied().unwrap_or_default().max(order.erased);
        if withdrawn > withdrawals || !snapshot.person.as_deref().is_none_or(|person| order.knows(person)) {
            return false;
        }
        self.shared.appearances.show(snapshot);
        order.sinks.iter().for_each(|sink| sink.snapshot(snapshot));
        true
    }

    /// The pictures of a camera that are kept or wait somewhere go: they may show more than it may show from now on.
    pub fn withdraw(&self, camera: &str) {
        let mut order = lock(&self.shared.order);
        order.withdrawals += 1;
        let number = order.withdrawals;
        order.withdrawn.insert(camera.to_owned(), number);
        self.shared.appearances.withdraw(camera);
        order.all().for_each(|sink| sink.withdraw(camera));
    }

    /// From now on only those are shown whom `known` knows: to be asked for each event, and under the lock.
    pub fn known_by(&self, known: impl Fn(&str) -> bool + Send + 'static) {
        lock(&self.shared.order).known = Some(Box::new(known));
    }

    /// How long after the last track of a person has ended the person counts as gone.
    pub fn absent_after(&self, period: Duration) {
        lock(&self.shared.board.roster).absent_after(period);
    }

    /// People are known, by id and name; what is shown of the others stays.
    pub fn enrolled<'a>(&self, people: impl Iterator<Item = (&'a Arc<str>, &'a Arc<str>)>) {
        self.on_roster(|roster| people.fold(false, |changed, (id, name)| roster.enrolled(id, name) | changed));
    }

    /// A person is known no more: no event that still waits shows the person, and all that is retained goes. What is under
    /// way is held back only where [`Self::known_by`] does not know the person already.
    pub fn forget(&self, person: &str) {
        let order = lock(&self.shared.order);
        for sink in order.all() {
            sink.forget(Forgotten::Person(person));
        }
        self.shared.appearances.forget(&Who::Person(person.into()));
        self.shared.subjects.sweep(|subject| subject.person() != Some(person));
        drop(order);
        self.on_roster(|roster| roster.keep(|known| known != person));
    }

    /// Nobody is known any more, nor anything that was seen of anybody. Gives how many spans went, and how much each sink
    /// kept.
    pub fn forget_everybody(&self) -> (usize, BTreeMap<&'static str, usize>) {
        let mut order = lock(&self.shared.order);
        order.withdrawals += 1;
        order.erased = order.withdrawals;
        order.erased_at = Some(Monotonic::now());
        let kept = order.all().map(|sink| (sink.name(), sink.forget(Forgotten::Everybody))).collect();
        let appearances = self.shared.appearances.clear();
        self.shared.subjects.sweep(|_| false);
        drop(order);
        self.on_roster(|roster| roster.keep(|_| false));
        (appearances, kept)
    }

    /// How large the gallery is now; sinks show it at their next interval.
    pub fn gallery_stats(&self, stats: GalleryStats) {
        *lock(&self.shared.board.gallery) = stats;
    }

    /// Looks after who is in sight; only those whom `is_known` knows are shown. To be called about once a second.
    pub fn look_after_people(&self, is_known: impl Fn(&str) -> bool) {
        self.shared.appearances.look_after(Instant::now(), &is_known);
        self.shared.subjects.sweep(|subject| subject.person().is_none_or(&is_known));
        self.on_roster(|roster| roster.keep(is_known) | roster.tick(Instant::now()));
    }

    /// The gallery has been read: what is retained of anybody else may go.
    pub fn people_read(&self) {
        self.shared.board.people_read.store(true, Ordering::Relaxed);
    }

    /// Nobody is in sight any more: the daemon ends.
    pub fn nobody_in_sight(&self) {
        self.on_roster(Roster::empty);
    }

    fn on_roster(&self, change: impl FnOnce(&mut Roster) -> bool) {
        let changed = change(&mut lock(&self.shared.board.roster));
        self.tell_if(changed);
    }

    /// What users ask of the gallery. One receiver's take is another one's miss: meant for the gallery's thread alone.
    pub fn person_commands(&self) -> Receiver<PersonCommand> {
        self.shared.people.1.clone()
    }

    /// Hands a wish to the gallery. `false`: too many wait already, and nobody will answer.
    pub fn wish(&self, command: PersonCommand) -> bool {
        self.shared.people.0.try_send(command).is_ok()
    }

    /// The counter that names a camera's tracks; the same for all its journals within this boot.
    pub fn track_numbers(&self, camera: &str) -> TrackNumbers {
        lock(&self.shared.order).tracks.entry(camera.into()).or_default().clone()
    }

    /// Makes a camera known, with the switches that it has and their positions; one that it had before stays as it is. Needed before anything is said of it.
    pub fn add_camera(&self, camera: &str, switches: &[(Switch, bool)]) {
        let changed = self.shared.board.add(camera, switches);
        self.tell_if(changed);
    }

    /// Says where a camera is: degrees of latitude and longitude.
    pub fn locate(&self, camera: &str, location: Option<[f64; 2]>) {
        self.shared.board.change(camera, |state| state.location = location);
    }

    /// Makes a camera unknown: its retained topics and its device in Home Assistant go.
    pub fn remove_camera(&self, camera: &str) {
        self.shared.previews.remove(camera);
        self.shared.subjects.leave(camera);
        self.withdraw(camera);
        let changed = self.shared.board.remove(camera);
        self.tell_if(changed);
    }

    /// Says how many confirmed faces a camera sees now.
    pub fn faces(&self, camera: &str, faces: usize) {
        let changed = self.shared.board.change(camera, |state| state.faces = faces);
        self.tell_if(changed);
    }

    /// Says whether a camera works, and why not; `reason` is empty while it does, and never holds a credential.
    pub fn camera_status(&self, camera: &str, status: CameraStatus, reason: &str) {
        let changed = self.shared.board.change(camera, |state| {
            if state.status != status || state.since.is_none() {
                state.since = Some(SystemTime::now());
            }
            state.status = status;
            state.reason = reason.into();
        });
        self.tell_if(changed);
    }

    /// Says where a camera's switch stands now.
    pub fn switch(&self, camera: &str, switch: Switch, on: bool) {
        let changed = self.shared.board.change(camera, |state| {
            state.switches.insert(switch, on);
        });
        self.tell_if(changed);
    }

    /// A wish for one of a camera's switches was refused: whoever had it is told where they stand.
    pub fn refuse(&self, camera: &str) {
        let changed = self.shared.board.change(camera, |state| state.refusals += 1);
        self.tell_if(changed);
    }

    /// Puts up a camera's counts; sinks show them at their next interval.
    pub fn camera_stats(&self, camera: &str, stats: CameraStats) {
        self.shared.board.change(camera, |state| state.stats = stats);
        self.shared.board.chart(camera, |chart| chart.count(Instant::now(), stats));
    }

    /// A camera's masked video was looked at, and so many faces were found that should not have been there.
    pub fn audited(&self, camera: &str, faces: usize) {
        self.shared.board.audited(camera, faces);
    }

    /// What users ask of switches. What one takes another one misses: meant for the supervisor alone.
    pub fn switches(&self) -> Arc<SwitchWishes> {
        Arc::clone(&self.shared.switches)
    }

    /// What the cameras show.
    pub fn previews(&self) -> &Previews {
        &self.shared.previews
    }

    /// Who was where and when.
    pub fn appearances(&self) -> &Appearances {
        &self.shared.appearances
    }

    /// Who is in sight, or was a moment ago.
    pub fn subjects(&self) -> &Subjects {
        &self.shared.subjects
    }

    /// The cameras as they are now, and this run's boot id.
    pub fn board(&self) -> &Board {
        &self.shared.board
    }

    fn runs(&self, name: &str) -> bool {
        lock(&self.shared.order).sinks.iter().any(|sink| sink.name() == name)
    }

    fn tell_if(&self, changed: bool) {
        if changed {
            lock(&self.shared.order).sinks.iter().for_each(|sink| sink.changed());
        }
    }
}

impl Default for Hub {
    fn default() -> Self {
        Self::new()
    }
}

/// Closes sinks side by side, so that a slow one does not take another one's time.
fn close_all(sinks: &[Arc<dyn Sink>], deadline: Instant) {
    std::thread::scope(|scope| {
        for sink in sinks {
            scope.spawn(move || sink.close(deadline));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, fixture};
    use crate::recognise::Identity;

    /// Keeps everything.
    #[derive(Default)]
    struct Notes {
        events: Mutex<Vec<Arc<Event>>>,
        snapshots: Mutex<Vec<Arc<Snapshot>>>,
        changes: Mutex<usize>,
        closed: Mutex<Vec<Instant>>,
    }

    impl Sink for Notes {
        fn name(&self) -> &'static str {
            "notes"
        }

        fn event(&self, event: &Arc<Event>) {
            lock(&self.events).push(Arc::clone(event));
        }

        fn snapshot(&self, snapshot: &Arc<Snapshot>) {
            lock(&self.snapshots).push(Arc::clone(snapshot));
        }

        fn withdraw(&self, camera: &str) {
            lock(&self.snapshots).retain(|snapshot| *snapshot.camera != *camera);
        }

        fn changed(&self) {
            *lock(&self.changes) += 1;
        }

        fn forget(&self, whom: Forgotten<'_>) -> usize {
            whom.anonymise(lock(&self.events).iter_mut())
        }

        fn succeeded_by(&self, _: &Settings) {}

        fn close(&self, deadline: Instant) {
            lock(&self.closed).push(deadline);
        }
    }

    fn with_notes() -> (Hub, Arc<Notes>) {
        let (hub, notes) = (Hub::new(), Arc::new(Notes::default()));
        hub.attach(Arc::<Notes>::clone(&notes));
        (hub, notes)
    }

    #[test]
    fn numbers_have_no_hole_and_no_disorder_whoever_publishes() {
        let (hub, notes) = with_notes();
        let cameras = ["front", "back", "side", "front"];
        std::thread::scope(|scope| {
            for camera in cameras {
                let hub = hub.clone();
                scope.spawn(move || (0..500).for_each(|_| hub.publish(vec![fixture::draft(camera); 2])));
            }
        });
        let events = lock(&notes.events);
        assert!(events.iter().map(|e| e.boot_seq).eq(1..=4000));
        for (camera, count) in [("front", 2000), ("back", 1000), ("side", 1000)] {
            assert!(events.iter().filter(|e| &*e.camera == camera).map(|e| e.seq).eq(1..=count));
        }
        assert!(events.iter().all(|e| e.boot_id == *hub.board().boot_id()));
        assert!(events.is_sorted_by_key(|e| e.published_at));
    }

    #[test]
    fn pictures_that_were_withdrawn_are_not_shown_even_if_they_are_on_their_way() {
        let (hub, notes) = with_notes();
        let snapshot = |camera: &str| {
            let (camera, track) = (camera.into(), "1".into());
            let captured_at = SystemTime::UNIX_EPOCH;
            Arc::new(Snapshot { camera, track, person: None, captured_at, jpeg: Vec::new() })
        };
        let shown = || lock(&notes.snapshots).iter().map(|shot| shot.camera.to_string()).collect::<Vec<_>>();
        let before = hub.withdrawals();
        assert!(hub.show(&snapshot("front"), before) && hub.show(&snapshot("back"), before));
        hub.withdraw("front");
        assert_eq!(shown(), ["back"]);
        assert!(!hub.show(&snapshot("front"), before), "it was taken out of the album before");
        assert!(hub.show(&snapshot("back"), before) && hub.show(&snapshot("front"), hub.withdrawals()));
        assert_eq!(shown(), ["back", "back", "front"]);
    }

    #[test]
    fn sinks_hear_of_changes_and_of_nothing_else() {
        let (hub, notes) = with_notes();
        let changes = || *lock(&notes.changes);
        assert_eq!(changes(), 1);
        hub.faces("front", 3);
        assert_eq!(changes(), 1);
        hub.add_camera("front", &[(Switch::Detect, true)]);
        hub.faces("front", 3);
        hub.faces("front", 3);
        hub.switch("front", Switch::Detect, true);
        hub.camera_status("front", CameraStatus::Online, "");
        assert_eq!(changes(), 4);
        assert_eq!(hub.board().cameras()["front"].faces, 3);
        hub.remove_camera("front");
        hub.camera_status("front", CameraStatus::Offline, "its thread ended");
        assert_eq!(changes(), 5);
        assert!(!hub.board().knows("front"));
    }

    #[test]
    fn a_camera_that_comes_back_counts_on() {
        let (hub, notes) = with_notes();
        hub.publish(vec![fixture::draft("front"); 3]);
        hub.remove_camera("front");
        hub.publish(vec![fixture::draft("front")]);
        assert_eq!(lock(&notes.events).last().map(|e| e.seq), Some(4));
        hub.close(Instant::now());
        hub.publish(vec![fixture::draft("front")]);
        assert_eq!(lock(&notes.events).len(), 4);
    }

    #[test]
    fn a_sink_that_starts_anew_misses_nothing() {
        let (hub, before) = with_notes();
        hub.publish(vec![fixture::draft("front"); 2]);
        let after = Arc::new(Notes::default());
        let open = || {
            hub.publish(vec![fixture::draft("front"); 2]);
            Ok(Some(Arc::<Notes>::clone(&after) as Arc<dyn Sink>))
        };
        hub.change_over("notes", Instant::now(), open).unwrap();
        hub.publish(vec![fixture::draft("front"); 2]);
        let seqs = |notes: &Notes| lock(&notes.events).iter().map(|e| e.seq).collect::<Vec<_>>();
        assert_eq!((seqs(&before), seqs(&after)), (vec![1, 2], vec![3, 4, 5, 6]));
        assert_eq!(*lock(&after.changes), 1);
        hub.change_over("notes", Instant::now(), || Err(Fault::internal("no thread"))).unwrap_err();
        assert!(lock(&hub.shared.order).sinks.is_empty());
    }

    #[test]
    fn an_end_that_cannot_wait_reaches_sinks_that_are_being_closed() {
        let (hub, notes) = with_notes();
        let (later, now) = (Instant::now() + Duration::from_secs(60), Instant::now());
        hub.close(later);
        hub.publish(vec![fixture::draft("front")]);
        hub.close(now);
        assert_eq!((lock(&notes.closed).clone(), lock(&notes.events).len()), (vec![later, now], 0));
    }

    /// Delivers nothing, and closes while somebody is forgotten.
    struct Idle {
        hub: Hub,
        events: Mutex<Vec<Arc<Event>>>,
    }

    impl Sink for Idle {
        fn name(&self) -> &'static str {
            "idle"
        }

        fn event(&self, event: &Arc<Event>) {
            lock(&self.events).push(Arc::clone(event));
        }

        fn snapshot(&self, _: &Arc<Snapshot>) {}

        fn changed(&self) {}

        fn forget(&self, whom: Forgotten<'_>) -> usize {
            whom.anonymise(lock(&self.events).iter_mut())
        }

        fn succeeded_by(&self, _: &Settings) {}

        fn close(&self, _: Instant) {
            self.hub.forget("alice");
        }

        fn bequeath(&self) -> Vec<Arc<Event>> {
            std::mem::take(&mut lock(&self.events))
        }
    }

    #[test]
    fn what_a_sink_could_not_deliver_is_the_next_ones_but_for_who_is_forgotten() {
        let hub = Hub::new();
        hub.attach(Arc::new(Idle { hub: hub.clone(), events: Mutex::default() }));
        hub.publish(vec![fixture::draft_of("front", "alice"), fixture::draft_of("front", "bob")]);
        let after = Arc::new(Notes::default());
        let open = || {
            hub.publish(vec![fixture::draft("front")]);
            Ok(Some(Arc::<Notes>::clone(&after) as Arc<dyn Sink>))
        };
        hub.change_over("idle", Instant::now(), open).unwrap();
        let events = lock(&after.events);
        assert!(events.iter().map(|event| event.seq).eq(1..=3));
        let people: Vec<_> = events.iter().map(|event| event.identity.person.as_deref()).collect();
        assert_eq!(people[..2], [None, Some("bob")]);
    }

    fn shot(person: Option<&str>) -> Arc<Snapshot> {
        let (camera, track) = ("front".into(), "front-1".into());
        let person = person.map(Arc::from);
        Arc::new(Snapshot { camera, track, person, captured_at: std::time::UNIX_EPOCH, jpeg: vec![0] })
    }

    #[test]
    fn who_is_forgotten_does_not_come_back_with_what_is_under_way() {
        let (hub, notes) = with_notes();
        let gallery = Arc::new(Mutex::new(vec!["alice", "bob"]));
        let known = Arc::clone(&gallery);
        hub.known_by(move |person| lock(&known).contains(&person));
        let begin = hub.withdrawals();
        hub.publish(vec![fixture::draft_of("front", "alice")]);
        hub.show(&shot(Some("alice")), begin);
        assert!(hub.board().people().contains_key("alice") && lock(&notes.snapshots).len() == 1);

        lock(&gallery).retain(|person| *person != "alice");
        hub.forget("alice");
        // these were under way: drafted and photographed before, and published after
        hub.publish(vec![fixture::draft_of("front", "alice"), fixture::draft_of("front", "bob")]);
        assert!(!hub.show(&shot(Some("alice")), begin));
        assert!(hub.show(&shot(Some("bob")), begin));
        let shown: Vec<_> = lock(&notes.events).iter().map(|event| event.identity.person.clone()).collect();
        assert_eq!(shown, [None, None, Some("bob".into())]);
        assert_eq!(hub.board().people().keys().map(|id| &**id).collect::<Vec<_>>(), ["bob"]);
        let of_alice = |seen: &super::super::Appearance| seen.who == Who::Person("alice".into());
        assert!(hub.appearances().list(of_alice, None, 9).0.is_empty());
        assert_eq!(lock(&notes.snapshots).len(), 2, "alice's first, bob's");

        let (spans, kept) = hub.forget_everybody();
        assert!(spans > 0 && kept["notes"] == 1, "{spans} {kept:?}");
        assert!(!hub.show(&shot(None), begin));
        assert_eq!(lock(&notes.snapshots).len(), 2, "a stranger's, chosen before");
        assert!(hub.show(&shot(None), hub.withdrawals()));
        assert_eq!(lock(&notes.snapshots).len(), 3);
    }

    #[test]
    fn a_face_that_was_forgotten_is_not_put_back_by_a_frame_that_was_under_way() {
        let hub = Hub::new();
        let gallery = Arc::new(Mutex::new(vec!["alice"]));
        let known = Arc::clone(&gallery);
        hub.known_by(move |person| lock(&known).contains(&person));
        let subject = |track: &str, identity: Identity| {
            let (track, seen) = (track.into(), Instant::now());
            Subject { track, identity, reason: None, impression: None, model: None, seen }
        };
        let alice = Identity::Known { person: "alice".into(), name: "Alice".into(), score: 0.7, margin: None };
        let seen = |arrived: Monotonic| {
            let present = vec![subject("front-1", alice.clone()), subject("front-2", Identity::OFF)];
            hub.see(&Arc::from("front"), arrived, present);
            ["front-1", "front-2"].map(|track| hub.subjects().find("front", track).is_some())
        };
        let arrived = Monotonic::now();
        assert_eq!(seen(arrived), [true, true]);
        lock(&gallery).clear();
        hub.forget("alice");
        assert_eq!(seen(arrived), [false, true]);
        hub.forget_everybody();
        assert_eq!(seen(arrived), [false, false], "this frame was looked at before");
        assert_eq!(seen(Monotonic::now().plus(Duration::from_nanos(1))), [false, true], "and this one after");
    }
}

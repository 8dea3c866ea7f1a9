//! The pictures that wait, and what became of those that did.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use axum::http::StatusCode;
use secrecy::SecretString;
use serde_json::json;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::Priority;
use crate::api::enrol::{Enrolled, Order};
use crate::api::input::{Content, Held};
use crate::event::Event;
use crate::fault::Fault;
use crate::http::ProblemJson;
use crate::outbound::{Client, Courier, Delivery, Plan};
use crate::sink::{Forgotten, Hub, Settings, Sink, Snapshot};

/// Pictures that wait. More are refused.
const MOST_WAITING: usize = 1000;

/// Bytes of them. More are refused.
const MOST_BYTES: usize = 64 << 20;

/// Pictures that are looked at at once: who waits for an answer has the other places.
const AT_ONCE: usize = 2;

/// Ends that are told, and faces of them; the oldest are not told any more. And for how long.
const MOST_ENDED: usize = 10_000;
const MOST_FACES: usize = 20_000;
const TOLD_FOR: Duration = Duration::from_secs(3600);

/// Priorities there are.
const PRIORITIES: usize = 4;

/// Who is told of the end.
pub(super) struct Webhook {
    pub(super) url: String,
    pub(super) secret: Option<Arc<SecretString>>,
}

/// What is to be done.
pub(super) struct Task {
    pub(super) content: Content,
    pub(super) held: Held,
    pub(super) order: Arc<Order>,
    pub(super) webhook: Option<Webhook>,
}

impl Task {
    fn bytes(&self) -> usize {
        match &self.content {
            Content::Picture(picture) => picture.len(),
            Content::Address(address) => address.len(),
        }
    }
}

/// A picture that is enrolled later.
pub(in crate::api) struct Job {
    pub(super) priority: Priority,
    pub(super) created_at: SystemTime,
    pub(super) finished_at: Option<SystemTime>,
    pub(super) outcome: Option<Result<Enrolled, ProblemJson>>,
    /// The person, as far as that is said.
    of: Option<String>,
    /// `None` once it was begun.
    task: Option<Task>,
    /// Whoever it is of is to be forgotten.
    given_up: Arc<AtomicBool>,
}

impl Job {
    /// How far it is.
    pub(super) fn status(&self) -> &'static str {
        match &self.outcome {
            _ if self.given_up.load(Ordering::Relaxed) => "forgotten",
            Some(Ok(_)) => "done",
            Some(Err(_)) => "failed",
            None if self.task.is_some() => "queued",
            None => "running",
        }
    }

    /// What was to be done, if that has not begun.
    fn give_up(&mut self) -> Option<Task> {
        self.given_up.store(true, Ordering::Relaxed);
        (self.outcome, self.of) = (None, None);
        self.task.take()
    }
}

/// Pictures that are enrolled later.
pub struct Jobs {
    book: Mutex<Book>,
    places: Arc<Semaphore>,
    courier: Courier,
}

#[derive(Default)]
struct Book {
    jobs: HashMap<Uuid, Job>,
    waiting: [VecDeque<Uuid>; PRIORITIES],
    ended: VecDeque<Ended>,
    /// Of pictures that wait.
    bytes: usize,
    /// In what is told of those that ended.
    faces: usize,
}

/// A picture that waits no more.
struct Ended {
    at: Instant,
    id: Uuid,
    /// Faces in what is told of it; those of people who were forgotten since are counted until it goes.
    faces: usize,
}

impl Jobs {
    /// The name under which it hears who is forgotten.
    pub(in crate::api) const NAME: &str = "jobs";

    /// Nothing waits yet. Webhooks are delivered by a client of `client`'s reach; `hub` says who is forgotten.
    ///
    /// # Errors
    /// A thread for webhooks cannot be started.
    pub fn open(client: &Client, hub: &Hub) -> Result<Arc<Self>, Fault> {
        let courier = Courier::start(client, Plan::default())?;
        let jobs = Arc::new(Self { book: Mutex::default(), places: Arc::new(Semaphore::new(AT_ONCE)), courier });
        hub.attach(Arc::<Self>::clone(&jobs));
        Ok(jobs)
    }

    pub(super) fn places(&self) -> Arc<Semaphore> {
        Arc::clone(&self.places)
    }

    /// Whether another picture of so many bytes may wait.
    pub(super) fn room(&self, bytes: usize) -> Result<(), ProblemJson> {
        self.lock().room(bytes)
    }

    /// Takes a picture in, of the person `of`, as far as that is known. Gives its id, and `view` of it.
    pub(super) fn put<T>(
        &self,
        task: Task,
        priority: Priority,
        of: Option<String>,
        view: impl FnOnce(Uuid, &Job) -> T,
    ) -> Result<(Uuid, T), ProblemJson> {
        let mut book = self.lock();
        book.expire(Instant::now());
        let bytes = task.bytes();
        book.room(bytes)?;
        let id = Uuid::new_v4();
        let (finished_at, outcome, given_up) = Default::default();
        let created_at = SystemTime::now();
        let job = Job { priority, created_at, finished_at, outcome, of, task: Some(task), given_up };
        let shown = view(id, &job);
        book.bytes += bytes;
        book.waiting[priority as usize].push_back(id);
        book.jobs.insert(id, job);
        Ok((id, shown))
    }

    /// Begins what comes first.
    pub(super) fn take(&self) -> Option<(Uuid, Arc<AtomicBool>, Task)> {
        let mut book = self.lock();
        loop {
            let id = book.waiting.iter_mut().find_map(VecDeque::pop_front)?;
            // one whose person was forgotten has nothing to do any more
            let begun = book.jobs.get_mut(&id).and_then(|job| Some((Arc::clone(&job.given_up), job.task.take()?)));
            if let Some((given_up, task)) = begun {
                book.bytes -= task.bytes();
                return Some((id, given_up, task));
            }
        }
    }

    /// Notes what became of a job. Gives its status.
    pub(super) fn end(&self, id: Uuid, outcome: Result<Enrolled, ProblemJson>) -> &'static str {
        let mut book = self.lock();
        let Some(job) = book.jobs.get_mut(&id) else { return "forgotten" };
        let faces = outcome.as_ref().map_or(0, |enrolled| enrolled.faces.len());
        job.finished_at = Some(SystemTime::now());
        if !job.given_up.load(Ordering::Relaxed) {
            job.outcome = Some(outcome);
        }
        let status = job.status();
        book.faces += faces;
        book.ended.push_back(Ended { at: Instant::now(), id, faces });
        book.expire(Instant::now());
        status
    }

    /// `view` of a job.
    pub(super) fn look<T>(&self, id: Uuid, view: impl FnOnce(Uuid, &Job) -> T) -> Option<T> {
        let mut book = self.lock();
        book.expire(Instant::now());
        book.jobs.get(&id).map(|job| view(id, job))
    }

    /// How many pictures wait, and how many can at most.
    pub(in crate::api) fn waiting(&self) -> (usize, usize) {
        (self.lock().waiting.iter().map(VecDeque::len).sum(), MOST_WAITING)
    }

    /// Nothing waits any more, and what became of anything is not known. Gives how many there were.
    fn clear(&self) -> usize {
        let mut book = std::mem::take(&mut *self.lock());
        let given_up = book.jobs.iter_mut().filter_map(|(&id, job)| Some((id, job.give_up()?)));
        given_up.for_each(|(id, task)| self.tell(id, "forgotten", task.webhook));
        book.jobs.len()
    }

    fn forget_person(&self, person: &str) -> usize {
        let (count, given_up) = self.lock().forget(person);
        given_up.into_iter().for_each(|(id, task)| self.tell(id, "forgotten", task.webhook));
        count
    }

    /// Tells whoever wants to hear of it how a job has ended: in a word that names nobody.
    pub(super) fn tell(&self, id: Uuid, status: &str, webhook: Option<Webhook>) {
        let Some(Webhook { url, secret }) = webhook else { return };
        let body = json!({ "type": "enroll", "id": id.to_string(), "status": status }).to_string().into_bytes();
        // what does not fit is counted there
        let _ = self.courier.send(Delivery { url, secret, body });
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn room(&self, bytes: usize) -> Result<(), ProblemJson> {
        let waiting: usize = self.waiting.iter().map(VecDeque::len).sum();
        if waiting < MOST_WAITING && self.bytes + bytes <= MOST_BYTES {
            return Ok(());
        }
        let detail = "too many pictures wait to be enrolled; try again";
        Err(ProblemJson::new(StatusCode::SERVICE_UNAVAILABLE, detail).because("busy").retry_after(5))
    }

    fn expire(&mut self, now: Instant) {
        let is_over = |first: &Ended| now.saturating_duration_since(first.at) > TOLD_FOR;
        while self.ended.front().is_some_and(is_over) || self.ended.len() > MOST_ENDED || self.faces > MOST_FACES {
            let Some(Ended { id, faces, .. }) = self.ended.pop_front() else { return };
            self.jobs.remove(&id);
            self.faces -= faces;
        }
    }

    /// Those that wait no more are told of as ended from now on; gives them, and how many were of this person.
    fn forget(&mut self, person: &str) -> (usize, Vec<(Uuid, Task)>) {
        let (mut count, mut given_up) = (0, Vec::new());
        for (&id, job) in &mut self.jobs {
            if job.of.as_deref() == Some(person) {
                count += 1;
                given_up.extend(job.give_up().map(|task| (id, task)));
            } else if let Some(Ok(enrolled)) = &mut job.outcome {
                enrolled.forget(person);
            }
        }
        for (id, task) in &given_up {
            self.bytes -= task.bytes();
            self.ended.push_back(Ended { at: Instant::now(), id: *id, faces: 0 });
        }
        let jobs = &self.jobs;
        let waits = |id: &Uuid| jobs.get(id).is_some_and(|job| job.task.is_some());
        self.waiting.iter_mut().for_each(|queue| queue.retain(waits));
        (count, given_up)
    }
}

/// Hears of the hub who is forgotten, and of nothing else.
impl Sink for Jobs {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn event(&self, _: &Arc<Event>) {}

    fn snapshot(&self, _: &Arc<Snapshot>) {}

    fn changed(&self) {}

    fn forget(&self, whom: Forgotten<'_>) -> usize {
        match whom {
            Forgotten::Person(person) => self.forget_person(person),
            Forgotten::Everybody => self.clear(),
        }
    }

    fn close(&self, _: Instant) {}

    fn succeeded_by(&self, _: &Settings) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::enrol::EnrolOptions;
    use crate::outbound::Reach;

    fn jobs() -> Arc<Jobs> {
        Jobs::open(&Client::new(Reach::Public(Vec::new())), &Hub::new()).unwrap()
    }

    fn put(jobs: &Jobs, priority: Priority, bytes: usize) -> Result<Uuid, ProblemJson> {
        let options: EnrolOptions = serde_json::from_value(json!({ "person_id": "alice" })).unwrap();
        let order = Arc::new(options.order().unwrap());
        let content = Content::Picture(vec![0; bytes].into());
        let task = Task { content, held: Held::nothing(), order, webhook: None };
        jobs.put(task, priority, Some("alice".to_owned()), |_, _| ()).map(|(id, ())| id)
    }

    fn status(jobs: &Jobs, id: Uuid) -> Option<&'static str> {
        jobs.look(id, |_, job| job.status())
    }

    #[test]
    fn what_matters_most_comes_first_and_of_that_what_came_first() {
        use Priority::{Critical, High, Low, Normal};
        let jobs = jobs();
        let order = [Low, Normal, High, Normal, Critical, Low, High, Critical];
        let ids = order.map(|priority| put(&jobs, priority, 1).unwrap());
        let begun: Vec<_> = std::iter::from_fn(|| jobs.take().map(|(id, ..)| id)).collect();
        assert_eq!(begun, [4, 7, 2, 6, 1, 3, 0, 5].map(|place| ids[place]));
        assert!(begun.iter().all(|&id| status(&jobs, id) == Some("running")));
        assert_eq!(status(&jobs, Uuid::new_v4()), None);
    }

    #[test]
    fn only_so_many_wait_and_room_is_made_by_whoever_begins_or_is_forgotten() {
        let jobs = jobs();
        for _ in 0..MOST_WAITING {
            put(&jobs, Priority::Low, 1).unwrap();
        }
        let refused = put(&jobs, Priority::Critical, 1).unwrap_err();
        assert!(jobs.room(0).is_err(), "said before a picture is read");
        assert_eq!((refused.status, refused.retry_after), (StatusCode::SERVICE_UNAVAILABLE, Some(5)));
        let (id, ..) = jobs.take().unwrap();
        put(&jobs, Priority::Low, 1).unwrap();
        assert!(put(&jobs, Priority::Low, 1).is_err());
        assert_eq!(jobs.forget(Forgotten::Person("alice")), MOST_WAITING + 1);
        assert_eq!((status(&jobs, id), jobs.lock().bytes), (Some("forgotten"), 0));
        put(&jobs, Priority::Low, MOST_BYTES).unwrap();
        assert!(put(&jobs, Priority::Low, 1).is_err(), "as many bytes as may wait");
        assert_eq!(jobs.forget(Forgotten::Everybody), MOST_WAITING + 2);
        assert!(jobs.take().is_none() && status(&jobs, id).is_none());
    }

    #[test]
    fn ends_are_told_for_a_while_and_not_of_all_that_ever_were() {
        let jobs = jobs();
        let end = |faces: usize| {
            let id = put(&jobs, Priority::Normal, 1).unwrap();
            jobs.take().unwrap();
            let outcome = Enrolled { added: 0, faces: std::iter::repeat_with(Enrolled::nobody).take(faces).collect() };
            assert_eq!(jobs.end(id, Ok(outcome)), "done");
            id
        };
        let first = end(1);
        for _ in 0..MOST_ENDED {
            end(0);
        }
        assert_eq!((status(&jobs, first), jobs.lock().faces), (None, 0));
        let second = end(1);
        let last = end(MOST_FACES);
        assert_eq!((status(&jobs, second), status(&jobs, last)), (None, Some("done")));
        jobs.lock().expire(Instant::now() + TOLD_FOR + Duration::from_secs(1));
        let book = jobs.lock();
        assert!(book.jobs.is_empty() && book.ended.is_empty() && book.faces == 0);
    }
}

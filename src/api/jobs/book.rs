//! The pictures that wait, and what became of those that did.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use axum::http::StatusCode;
use secrecy::SecretString;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::Priority;
use crate::api::enrol::{Enrolled, Order};
use crate::api::input::{Content, Held};
use crate::event::Event;
use crate::fault::Fault;
use crate::http::ProblemJson;
use crate::outbound::{Client, Courier, Plan};
use crate::sink::{Hub, Settings, Sink, Snapshot};

/// Pictures that wait. More are refused.
const MOST_WAITING: usize = 1000;

/// Bytes of them. More are refused.
const MOST_BYTES: usize = 64 << 20;

/// Pictures that are looked at at once: who waits for an answer has the other places.
const AT_ONCE: usize = 2;

/// Ends that are told, and for how long.
const MOST_ENDED: usize = 10_000;
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

    fn give_up(&mut self) {
        self.given_up.store(true, Ordering::Relaxed);
        (self.task, self.outcome, self.of) = (None, None, None);
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
    ended: VecDeque<(Instant, Uuid)>,
    bytes: usize,
}

impl Jobs {
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

    pub(super) fn courier(&self) -> &Courier {
        &self.courier
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
        let waiting: usize = book.waiting.iter().map(VecDeque::len).sum();
        if waiting >= MOST_WAITING || book.bytes + bytes > MOST_BYTES {
            let detail = "too many pictures wait to be enrolled; try again";
            return Err(ProblemJson::new(StatusCode::SERVICE_UNAVAILABLE, detail).because("busy").retry_after(5));
        }
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
        job.finished_at = Some(SystemTime::now());
        if !job.given_up.load(Ordering::Relaxed) {
            job.outcome = Some(outcome);
        }
        let status = job.status();
        book.ended.push_back((Instant::now(), id));
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
    pub(in crate::api) fn clear(&self) -> usize {
        let mut book = std::mem::take(&mut *self.lock());
        book.jobs.values_mut().for_each(Job::give_up);
        book.jobs.len()
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn expire(&mut self, now: Instant) {
        let is_over = |at: Instant| now.saturating_duration_since(at) > TOLD_FOR;
        while self.ended.front().is_some_and(|(at, _)| is_over(*at)) || self.ended.len() > MOST_ENDED {
            let Some((_, id)) = self.ended.pop_front() else { return };
            self.jobs.remove(&id);
        }
    }

    fn forget(&mut self, person: &str) {
        let mut freed = 0;
        for (&id, job) in &mut self.jobs {
            if job.of.as_deref() == Some(person) {
                if let Some(task) = &job.task {
                    freed += task.bytes();
                    self.ended.push_back((Instant::now(), id));
                }
                job.give_up();
            } else if let Some(Ok(enrolled)) = &mut job.outcome {
                enrolled.forget(person);
            }
        }
        self.bytes -= freed;
    }
}

/// Hears of the hub who is forgotten, and of nothing else.
impl Sink for Jobs {
    fn name(&self) -> &'static str {
        "jobs"
    }

    fn event(&self, _: &Arc<Event>) {}

    fn snapshot(&self, _: &Arc<Snapshot>) {}

    fn changed(&self) {}

    fn forget(&self, person: &str) {
        self.lock().forget(person);
    }

    fn close(&self, _: Instant) {}

    fn succeeded_by(&self, _: &Settings) {}
}

//! Wishes about people, and their answers.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rumqttc::Publish;
use tracing::warn;

use super::Shared;
use super::topics::Topics;
use crate::sink::{Context, PersonAnswer, PersonCommand, PersonWish, lock};

/// Answers waiting for the broker. Full: the oldest is dropped; who asked then has waited for long.
const ANSWERS: usize = 256;

/// Bytes of pictures waiting for the gallery; more are refused.
const PICTURES: usize = 64 << 20;

/// What waits on the way to the gallery and back.
#[derive(Default)]
pub(super) struct Desk {
    /// Topic and payload.
    answers: Mutex<VecDeque<(String, String)>>,
    pictures: AtomicUsize,
}

impl Desk {
    /// The next answer to send.
    pub(super) fn next(&self) -> Option<(String, String)> {
        lock(&self.answers).pop_front()
    }

    fn put(&self, answer: (String, String)) {
        let mut answers = lock(&self.answers);
        if answers.len() == ANSWERS {
            answers.pop_front();
        }
        answers.push_back(answer);
    }
}

/// What is wished of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Enroll,
    Forget,
}

/// Hands a wish to the gallery. Its answer, or why it got none, goes to `<topic>/result`.
pub(super) fn ask(wish: Wish, person: &str, publish: &Publish, context: &Context, shared: &Arc<Shared>) {
    let topic = publish.topic.as_str();
    let bytes = if wish == Wish::Enroll { publish.payload.len() } else { 0 };
    let refuse = |reason, detail: &str| answer(shared, topic, person, &PersonAnswer::NotNow(reason, detail.to_owned()));
    if publish.retain {
        // It would be done again at each reconnect, against whatever was asked since.
        warn!(topic, "a retained wish for a person is ignored; publish it without the retain flag");
        return refuse("retained", "publish it without the retain flag");
    }
    if shared.desk.pictures.fetch_add(bytes, Ordering::Relaxed) + bytes > PICTURES {
        shared.desk.pictures.fetch_sub(bytes, Ordering::Relaxed);
        return refuse("busy", "too many pictures wait to be looked at; try again");
    }
    let wish = match wish {
        Wish::Enroll => PersonWish::Enrol(publish.payload.to_vec()),
        Wish::Forget => PersonWish::Forget,
    };
    let (asked, of, back) = (topic.to_owned(), person.to_owned(), Arc::clone(shared));
    let tell = move |said: PersonAnswer| {
        back.desk.pictures.fetch_sub(bytes, Ordering::Relaxed);
        answer(&back, &asked, &of, &said);
    };
    if context.people.try_send(PersonCommand { person: person.into(), wish, answer: Box::new(tell) }).is_err() {
        shared.desk.pictures.fetch_sub(bytes, Ordering::Relaxed);
        refuse("busy", "too many wishes wait to be looked at; try again");
    }
}

fn answer(shared: &Shared, topic: &str, person: &str, answer: &PersonAnswer) {
    shared.desk.put((Topics::result(topic), answer.to_json(person).to_string()));
    shared.wake.notify_one();
}

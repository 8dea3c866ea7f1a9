//! Events as they happen, as server-sent events (SSE); whoever comes back gets what was missed.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Sse;
use axum::response::sse::Event as Message;
use futures_util::Stream;
use futures_util::stream::unfold;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::timeout;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::openapi::Problem;
use super::streams::Place;
use crate::event::{EventType, Filter};
use crate::http::{Principal, ProblemJson};
use crate::metrics::{EVENTS_LOST, EVENTS_PUBLISHED};
use crate::sink::{History, Reached};

/// Where a client says which event it saw last.
const LAST_EVENT_ID: &str = "last-event-id";

/// After so long without an event the client hears that the connection stands, and how far it has come.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// When a client whose connection has ended is to come back.
const COME_BACK: Duration = Duration::from_secs(2);

/// Events that are taken out of the history at once.
const AT_ONCE: usize = 64;

/// What this is called in metrics.
const NAME: &str = "sse";

pub(super) fn viewer() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(events))
}

/// Which events are wanted.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Asked {
    /// Only of these cameras: ids, separated by commas.
    camera: Option<String>,
    /// Only these types, separated by commas: `started`, `identified`, `revised`, `retracted`, `updated`, `ended`, `face_seen`.
    r#type: Option<String>,
    /// Only about these people: ids, or aliases of strangers, separated by commas.
    person: Option<String>,
    /// As the header `Last-Event-ID`, for clients that cannot set one.
    last_event_id: Option<String>,
}

/// Events as they happen.
///
/// Server-sent events: `event` is the type, `data` the same JSON as over MQTT, `id` is `boot_id:boot_seq`. With `Last-Event-ID` it
/// goes on after that event, as far back as the history reaches; what is not there any more is said by an event `lost`
/// with the `count` of events of all cameras (`null`, where Visor was started anew since) and the `reason`: `too_late`,
/// `restarted`, or `erased`, which is no loss but what was asked for. Once somebody is forgotten, or everybody, an event `forgotten`
/// says so to all: what was read before may name them, and is better read again. It has a `number` that counts up, names nobody,
/// and whoever comes back hears of the last one first.
#[utoipa::path(
    get, path = "/events", tag = "events",
    params(Asked, ("Last-Event-ID" = Option<String>, Header, description = "The `id` of the last event that was seen")),
    responses(
        (status = 200, body = String, content_type = "text/event-stream"),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn events(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    asked: Result<Query<Asked>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Message, Infallible>>>, ProblemJson> {
    let Query(asked) = asked.map_err(|wrong| refused(&wrong.body_text()))?;
    let filter = asked.filter()?;
    let header = headers.get(LAST_EVENT_ID).map(|id| id.to_str().unwrap_or("?"));
    let last = header.or(asked.last_event_id.as_deref()).filter(|id| !id.is_empty());
    let boot_id = Arc::clone(api.0.hub.board().boot_id());
    let history = Arc::clone(&api.0.history);
    let (mut messages, mut seen) = (VecDeque::new(), history.reached().borrow().newest);
    if let Some(last) = last {
        let (boot, seq) = parse_id(last)?;
        seen = if *boot == *boot_id { seq.min(seen) } else { 0 };
        messages.extend((*boot != *boot_id).then(|| lost(None, "restarted")));
    }
    let reached = history.reached();
    let place = api.0.streams.enter()?;
    messages.push_front(Message::default().retry(COME_BACK).id(id(&boot_id, seen)));
    // whoever begins has read nothing yet
    let told = if last.is_some() { 0 } else { reached.borrow().forgotten };
    let reader = Reader { boot_id, history, reached, principal, filter, seen, told, messages, _place: place };
    Ok(Sse::new(unfold(reader, |mut reader| async { Some((Ok(reader.next().await?), reader)) })))
}

impl Asked {
    fn filter(&self) -> Result<Filter, ProblemJson> {
        let words = |list: &Option<String>| {
            let words = list.iter().flat_map(|list| list.split(',')).map(str::trim).filter(|word| !word.is_empty());
            words.map(str::to_owned).collect::<Vec<_>>()
        };
        let kind = |word: String| {
            let known = EventType::ALL.map(EventType::name).join(", ");
            EventType::named(&word).ok_or_else(|| refused(&format!("type: {word:?} is none of {known}")))
        };
        let types = words(&self.r#type).into_iter().map(kind).collect::<Result<_, _>>()?;
        let (cameras, people) = (words(&self.camera), words(&self.person));
        Ok(Filter { cameras: cameras.into_iter().collect(), types, people: people.into_iter().collect() })
    }
}

fn refused(what: &str) -> ProblemJson {
    ProblemJson::new(StatusCode::BAD_REQUEST, what)
}

fn id(boot_id: &str, boot_seq: u64) -> String {
    format!("{boot_id}:{boot_seq}")
}

fn parse_id(id: &str) -> Result<(&str, u64), ProblemJson> {
    let parts = id.rsplit_once(':').and_then(|(boot_id, seq)| Some((boot_id, seq.parse().ok()?)));
    parts.ok_or_else(|| refused("Last-Event-ID is not the id of an event: boot_id:boot_seq"))
}

fn lost(count: Option<u64>, reason: &str) -> Message {
    let data = serde_json::json!({ "type": "lost", "count": count, "reason": reason });
    Message::default().event("lost").data(data.to_string())
}

/// Somebody was forgotten, for the `number`th time. Says not who: whoever reads may never have heard of them.
fn forgotten(number: u64) -> Message {
    let data = serde_json::json!({ "type": "forgotten", "number": number });
    Message::default().event("forgotten").data(data.to_string())
}

/// One client's place in the history.
struct Reader {
    boot_id: Arc<str>,
    history: Arc<History>,
    reached: watch::Receiver<Reached>,
    principal: Principal,
    filter: Filter,
    /// `boot_seq` of the last event that was looked at.
    seen: u64,
    /// The last time that somebody was forgotten which was told.
    told: u64,
    /// To be sent before anything else.
    messages: VecDeque<Message>,
    _place: Place,
}

impl Reader {
    /// The next message; `None` once there will be none.
    async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = self.messages.pop_front() {
                return Some(message);
            }
            let Reached { newest, forgotten: times, closed } = *self.reached.borrow_and_update();
            if times > self.told {
                self.told = times;
                return Some(forgotten(times));
            }
            if newest > self.seen {
                self.read();
                continue;
            }
            if closed {
                return None;
            }
            match timeout(SIGN_OF_LIFE, self.reached.changed()).await {
                Ok(changed) => changed.ok()?,
                // an id alone is no event: it is only remembered
                Err(_) => return Some(Message::default().id(id(&self.boot_id, self.seen)).comment("")),
            }
        }
    }

    /// Takes what is new out of the history.
    fn read(&mut self) {
        let stretch = self.history.after(self.seen, AT_ONCE);
        for (count, reason) in [(stretch.erased, "erased"), (stretch.lost, "too_late")] {
            if count > 0 {
                self.seen += count;
                self.messages.push_back(lost(Some(count), reason).id(id(&self.boot_id, self.seen)));
            }
        }
        metrics::counter!(EVENTS_LOST, "sink" => NAME, "reason" => "too_late").increment(stretch.lost);
        for event in stretch.events {
            self.seen = event.boot_seq;
            if self.principal.sees(&event.camera) && self.filter.passes(&event) {
                let Ok(data) = serde_json::to_string(&*event) else { continue };
                let message = Message::default().id(id(&self.boot_id, self.seen)).event(event.kind.name());
                self.messages.push_back(message.data(data));
                metrics::counter!(EVENTS_PUBLISHED, "sink" => NAME).increment(1);
            }
        }
    }
}

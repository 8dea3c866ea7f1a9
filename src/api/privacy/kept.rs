//! What is kept of people, how much of it there is now, and when it goes.

use serde::Serialize;
use utoipa::ToSchema;

use crate::api::Api;
use crate::http::Principal;
use crate::sink::{GRACE, Held};

/// Something that is kept, in memory.
#[derive(Serialize, ToSchema)]
pub(super) struct Kept {
    /// `people`, `strangers`, `tracks`, `appearances`, `best_shots`, `events`, `uploads`, `previews` or `frames`.
    id: &'static str,
    /// The same in words.
    title: &'static str,
    /// How many there are now; null where they are not counted, or not for whoever may see only some cameras.
    count: Option<usize>,
    /// How many there can be; the oldest goes for a newer one.
    most: Option<usize>,
    /// After how many seconds they go by themselves; null where not by time.
    seconds: Option<u64>,
    /// When they go, in words.
    until: &'static str,
}

/// What there is: name, title, and when it goes.
const KINDS: [[&str; 3]; 9] = [
    [
        "people",
        "People and their faces, as numbers",
        "Until they are forgotten or expire, at the latest until Visor ends. Pictures in the gallery's folder are yours, and \
         are only read.",
    ],
    [
        "strangers",
        "Strangers and their faces, as numbers",
        "Until they have not been seen for that long, or have a name; at the latest until Visor ends.",
    ],
    [
        "tracks",
        "Faces of who is in sight, as numbers",
        "Until a minute after they left: so long they can be recognised again, and named.",
    ],
    [
        "appearances",
        "Who was where and when",
        "Until that long after they left, or the person is forgotten; at the latest until Visor ends.",
    ],
    [
        "best_shots",
        "Best shots, where a camera's settings allow some",
        "As long as the appearance that they belong to, or a minute where there is none yet; 64 MiB at most.",
    ],
    [
        "events",
        "Events, for whoever comes back to read them",
        "Until newer ones take their place, or Visor ends. Who is forgotten is taken out of them.",
    ],
    ["uploads", "Pictures that were sent in and wait", "Until they have been looked at, and not longer."],
    [
        "previews",
        "What cameras show, masked",
        "One picture a camera, while somebody looks and for three seconds after.",
    ],
    [
        "frames",
        "Frames on their way",
        "In memory that Visor's processes share, until they are masked and sent: a fraction of a second.",
    ],
];

/// How many there are, how many there can be, and for how many seconds.
type Numbers = (Option<usize>, Option<usize>, Option<u64>);

/// Each kind of things, as far as the caller's cameras say.
pub(super) fn kept(api: &Api, principal: &Principal) -> Vec<Kept> {
    let numbers = numbers(api, principal);
    let kinds = KINDS.into_iter().zip(numbers);
    kinds.map(|([id, title, until], (count, most, seconds))| Kept { id, title, count, most, seconds, until }).collect()
}

/// In the order of [`KINDS`].
fn numbers(api: &Api, principal: &Principal) -> [Numbers; KINDS.len()] {
    let people = api.people().ok();
    let Held { spans, most_spans, shots, ttl, .. } = api.0.hub.appearances().held(|camera| principal.sees(camera));
    let (events, most_events) = api.0.history.fill();
    let (uploads, most_uploads) = api.0.jobs.waiting();
    let of_all = |count: usize| Some(count).filter(|_| principal.cameras.is_none());
    let (ttl, uncounted) = (Some(ttl.as_secs()), (None, None, None));
    [
        (people.as_ref().map(|people| people.gallery.size()), None, None),
        (
            people.as_ref().and_then(|people| of_all(people.strangers.len())),
            None,
            people.as_ref().map(|people| people.strangers.ttl().as_secs()),
        ),
        (Some(api.0.hub.subjects().count(|camera| principal.sees(camera))), None, Some(GRACE.as_secs())),
        (Some(spans), Some(most_spans), ttl),
        (Some(shots), None, ttl),
        (of_all(events), Some(most_events), None),
        (of_all(uploads), Some(most_uploads), None),
        uncounted,
        uncounted,
    ]
}

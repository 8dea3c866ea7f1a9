//! The engine over HTTP: pictures, people, cameras and events, under `/api/v1`.
//!
//! | module | what is there |
//! |---|---|
//! | `rights` | which role a route asks for |
//! | `openapi` | the description of all routes, made from them, and the page that shows it |
//! | `auth` | logging in, and who one is then |
//! | `health` | how the daemon is, and how much it is asked |
//! | `desk` | where pictures are looked at, behind the cameras |
//! | `input` | how pictures come in |
//! | `extract` `list` | what is taken out of requests; lists, a page at a time |
//! | `detect` `mask` | faces in a picture, and without them |
//! | `compare` `recognise` | whether faces are of one person; whose they are |
//! | `cameras` | the cameras as they are now, what they show, and how they change |
//! | `events` | what happens, as it happens |
//! | `streams` | how many answers without an end there are |
//! | `gallery` | who is known: read at once, changed by the gallery's thread alone |
//! | `persons` `faces` | the people who are known, and the faces that stand for them |
//! | `enrol` `jobs` | from a picture to somebody who is known: at once, or later |
//! | `advice` | whether the threshold fits the gallery |
//! | `strangers` | who is not known, but was seen |
//! | `tracks` | who is in sight, and is given a name |
//! | `timeline` | where people were, and when |
//! | `privacy` | what is kept and where, looked at live |
//! | `everything` | all of it gone at once |
//!
//! Each module gives its routes by role; [`router`] puts them together. The server, and who may ask at all, is in
//! [`crate::http`].

use std::sync::Arc;

use axum::Router;

use crate::http::{Admission, Role, Status};
use crate::outbound::Client;
use crate::sink::{History, Hub};
use crate::supervisor::Engine;

mod advice;
mod auth;
mod cameras;
mod compare;
mod desk;
mod detect;
mod enrol;
mod events;
mod everything;
mod extract;
mod faces;
mod gallery;
mod health;
mod input;
mod jobs;
mod list;
mod mask;
mod openapi;
mod persons;
mod privacy;
mod recognise;
mod rights;
mod strangers;
mod streams;
mod timeline;
mod tracks;

pub use cameras::{CameraAnswer, CameraBook, CameraChange, CameraDone, CameraRefusal, CameraTrial, CameraWish};
pub use desk::Desk;
pub use input::Intake;
pub use jobs::Jobs;
use rights::Routes;

pub use streams::Streams;

/// What the routes work with. Clones are handles to the same.
#[derive(Clone)]
pub struct Api(Arc<Parts>);

/// What an [`Api`] is made of.
pub struct Parts {
    /// Looks at pictures.
    pub engine: Arc<Engine>,
    /// Cameras, people and events as they are now.
    pub hub: Hub,
    /// Where pictures are looked at.
    pub desk: Desk,
    /// Pictures that are enrolled later.
    pub jobs: Arc<Jobs>,
    /// Asks addresses that a request names.
    pub outbound: Client,
    /// The places of requests that put pictures before the engine.
    pub admission: Admission,
    /// What is to become of cameras, and what is said of them.
    pub cameras: Arc<CameraBook>,
    /// The events so far.
    pub history: Arc<History>,
    /// The places of answers without an end.
    pub streams: Streams,
    /// Memory for what comes in.
    pub intake: Intake,
    /// How the daemon is.
    pub status: Status,
}

/// Paths of which nobody is asked who they are.
pub const OPEN: &[&str] = auth::OPEN;

/// Paths that may be asked as often as one likes.
pub const UNLIMITED: &[&str] = health::UNLIMITED;

impl Api {
    /// Over these parts.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// No picture is looked at any more; waits for those that are. To be called at the end.
    pub fn close(&self) {
        self.desk().close();
    }

    /// Where pictures are looked at.
    fn desk(&self) -> &Desk {
        &self.0.desk
    }
}

/// Every route, each behind the role that it asks for, and their description.
pub fn router(api: Api) -> Router {
    openapi::with_description(routes(), api)
}

fn routes() -> Routes {
    Routes::new()
        .open(auth::open())
        .with(Role::Viewer, auth::viewer())
        .with(Role::Viewer, health::viewer())
        .with(Role::Viewer, cameras::viewer())
        .with(Role::Operator, cameras::operator())
        .with(Role::Admin, cameras::admin())
        .with(Role::Viewer, events::viewer())
        .with(Role::Viewer, persons::viewer())
        .with(Role::Viewer, faces::viewer())
        .with(Role::Viewer, strangers::viewer())
        .with(Role::Viewer, timeline::viewer())
        .with(Role::Viewer, privacy::viewer())
        .with(Role::Operator, detect::operator())
        .with(Role::Operator, mask::operator())
        .with(Role::Operator, compare::operator())
        .with(Role::Operator, recognise::operator())
        .with(Role::Operator, persons::operator())
        .with(Role::Operator, faces::operator())
        .with(Role::Operator, jobs::operator())
        .with(Role::Operator, strangers::operator())
        .with(Role::Operator, tracks::operator())
        .with(Role::Operator, advice::operator())
        .with(Role::Admin, everything::admin())
}

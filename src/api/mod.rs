//! The engine over HTTP: pictures, people, cameras and events, under `/api/v1`.
//!
//! | module | what is there |
//! |---|---|
//! | `rights` | which role a route asks for |
//! | `openapi` | the description of all routes, made from them, and the page that shows it |
//! | `cameras` | the cameras as they are now |
//! | `events` | what happens, as it happens |
//! | `streams` | how many answers without an end there are |
//!
//! Each module gives its routes by role; [`router`] puts them together. The server, and who may ask at all, is in
//! [`crate::http`].

use std::sync::Arc;

use axum::Router;

use crate::http::{Admission, Role};
use crate::outbound::Client;
use crate::sink::{History, Hub};
use crate::supervisor::Engine;

mod cameras;
mod events;
mod openapi;
mod rights;
mod streams;

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
    /// Asks addresses that a request names.
    pub outbound: Client,
    /// The places of requests that put pictures before the engine.
    pub admission: Admission,
    /// The events so far.
    pub history: Arc<History>,
    /// The places of answers without an end.
    pub streams: Streams,
}

impl Api {
    /// Over these parts.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

/// Every route, each behind the role that it asks for, and their description.
pub fn router(api: Api) -> Router {
    openapi::with_description(routes(), api)
}

fn routes() -> Routes {
    Routes::new().with(Role::Viewer, cameras::viewer().merge(events::viewer()))
}

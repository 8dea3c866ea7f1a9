//! The engine over HTTP: pictures, people, cameras and events, under `/api/v1`.
//!
//! | module | what is there |
//! |---|---|
//! | `rights` | which role a route asks for |
//! | `openapi` | the description of all routes, made from them, and the page that shows it |
//! | `cameras` | the cameras as they are now |
//!
//! Each module gives its routes by role; [`router`] puts them together. The server, and who may ask at all, is in
//! [`crate::http`].

use std::sync::Arc;

use axum::Router;

use crate::http::Role;
use crate::sink::Hub;
use crate::supervisor::Engine;

mod cameras;
mod openapi;
mod rights;

use rights::Routes;

/// What the routes work with. Clones are handles to the same.
#[derive(Clone)]
pub struct Api(Arc<Parts>);

struct Parts {
    #[expect(dead_code, reason = "pictures are looked at with it")]
    engine: Arc<Engine>,
    hub: Hub,
}

impl Api {
    /// Over this engine and this hub's cameras and people.
    pub fn new(engine: Arc<Engine>, hub: Hub) -> Self {
        Self(Arc::new(Parts { engine, hub }))
    }
}

/// Every route, each behind the role that it asks for, and their description.
pub fn router(api: Api) -> Router {
    openapi::with_description(routes(), api)
}

fn routes() -> Routes {
    Routes::new().with(Role::Viewer, cameras::viewer())
}

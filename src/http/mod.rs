//! The server: who may ask, how often and how much at once, and how the daemon is.
//!
//! | module | what happens there |
//! |---|---|
//! | `config` `tls` `tokens` `users` | what the operator says: address, certificate, who may ask |
//! | `server` `seats` `patient` | sockets and connections: so many for each client, none of which waits for ever |
//! | `guard` `rate` | a request is let in or answered, by its head alone |
//! | `leash` | an answer goes on for as long as whoever asked has the right to it |
//! | `login` `session` | a password for a token that holds for a while |
//! | `principal` | who asks, and what they may |
//! | `body` `admission` | how long a body may take, how many may ask the engine for work |
//! | `routes` `status` `exposition` `tally` | health, metrics, version |
//! | `console` | the page, out of the program itself |
//! | `finish` `problem` | what every answer has; errors are problem+json (RFC 9457) |
//!
//! What is asked for beside health and metrics comes as a router from outside ([`App::api`]); nothing here knows it.

use axum::Router;

mod admission;
mod body;
mod config;
mod console;
mod exposition;
mod finish;
mod guard;
mod leash;
mod login;
mod patient;
mod principal;
mod problem;
mod rate;
mod routes;
mod seats;
mod server;
mod session;
mod status;
mod tally;
mod tls;
mod tokens;
mod users;

pub use admission::Admission;
pub use config::{Config, Settings};
pub use exposition::{Metric, Metrics, Sample};
pub use login::{Login, Logins};
pub use principal::{Principal, Role};
pub use problem::ProblemJson;
pub use rate::Rate;
pub use server::{Peer, Server};
pub use status::{Health, Status, Version};
pub use tally::{Requests, Tally};
pub use tls::Tls;
pub use tokens::Tokens;
pub use users::Users;

/// What is served.
#[derive(Clone)]
pub struct App {
    /// Health, metrics, version.
    pub status: Status,
    /// What else is asked over HTTP, behind the same guard.
    pub api: Router,
    /// Its paths that are open to those who have not said who they are yet.
    pub open: &'static [&'static str],
    /// Its paths that are asked often by machines, and cost nothing.
    pub unlimited: &'static [&'static str],
}

#[cfg(test)]
mod leash_tests;
#[cfg(test)]
mod limits_tests;
#[cfg(test)]
mod tests;

//! One integration binary, a scenario a file.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that breaks off has failed, and says where")]

#[cfg(feature = "media")]
mod camera;
mod capture_faults;
mod check;
#[cfg(feature = "media")]
mod daemon;
mod models;
mod mqtt;
mod mqtt_daemon;
mod mqtt_faults;
#[cfg(feature = "media")]
mod reload;
mod service;
mod support;
mod track;

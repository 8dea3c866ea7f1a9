//! One integration binary, a scenario a file. Those that need GStreamer say so in their first line.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that breaks off has failed, and says where")]

mod camera;
mod capture;
mod capture_cameras;
mod capture_faults;
mod check;
mod daemon;
mod detect;
mod many_cameras;
mod models;
mod mqtt;
mod mqtt_daemon;
mod mqtt_faults;
mod nothing_written;
mod reload;
mod service;
mod support;
mod track;

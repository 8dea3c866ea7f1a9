//! One integration binary, a scenario a file. Those that need GStreamer say so in their first line.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that breaks off has failed, and says where")]

mod bench;
mod broker_faults;
mod camera;
mod camera_faults;
mod capture;
mod capture_cameras;
mod capture_faults;
mod capture_garbage;
mod capture_tls;
mod check;
mod daemon;
mod daemon_faults;
mod detect;
mod faults_together;
mod file_cameras;
mod gallery;
mod identity;
mod many_cameras;
mod mask;
mod mask_plan;
mod models;
mod mqtt;
mod mqtt_daemon;
mod mqtt_faults;
mod nothing_written;
mod odd_files;
mod people;
mod people_clips;
mod people_pictures;
mod recognition;
mod reload;
mod service;
mod support;
mod track;
mod track_video;

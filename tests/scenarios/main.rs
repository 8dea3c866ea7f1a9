//! One integration binary, a scenario a file.

mod models;
mod mqtt;
mod mqtt_faults;
mod support;

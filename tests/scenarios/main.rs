//! One integration binary, a scenario a file.

mod mqtt;
mod mqtt_faults;
mod support;

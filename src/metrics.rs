//! Names of all metrics, and what they mean.

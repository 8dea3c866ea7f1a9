//! One integration binary, a scenario a file.

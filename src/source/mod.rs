//! The brain's side of a capture child: start, watch, restart.

//! Composes each part's own settings; names every problem at once.

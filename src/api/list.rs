//! Lists, a page at a time.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use super::extract::bad_request;
use crate::http::ProblemJson;

/// Items of a page where nothing else is asked.
const USUAL: usize = 100;

/// Items of a page at most.
const MOST: usize = 1000;

/// Part of a list.
#[derive(Serialize, ToSchema)]
pub(super) struct List<T> {
    /// What is there.
    items: Vec<T>,
    /// Asked as `cursor`, it gives what comes next; null where this is the end.
    next_cursor: Option<String>,
}

/// How many items a page is to have, of what was asked.
pub(super) fn limit(asked: Option<usize>) -> Result<usize, ProblemJson> {
    match asked.unwrap_or(USUAL) {
        limit @ 1..=MOST => Ok(limit),
        _ => Err(bad_request(format!("limit: 1 to {MOST}"))),
    }
}

impl<T> List<T> {
    /// A page, and the cursor of its last item if there is more.
    pub(super) fn page(items: Vec<T>, next_cursor: Option<String>) -> Json<Self> {
        Json(Self { items, next_cursor })
    }
}

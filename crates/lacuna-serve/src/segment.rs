//! The variable segment of a path.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

use crate::problem::{Code, Problem};

/// A path's one variable segment, percent-decoded.
pub struct Segment(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Problem;

    /// # Errors
    /// [`Code::Malformed`] if the segment is not UTF-8.
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let segment = Path::<String>::from_request_parts(parts, state).await;
        segment.map(|Path(segment)| Self(segment)).map_err(|rejection| {
            Problem::new(Code::Malformed, format!("the path is invalid: {}", rejection.body_text()))
        })
    }
}

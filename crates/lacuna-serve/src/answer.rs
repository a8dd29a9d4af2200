//! The result of a finished job: a file and response headers.

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// A file for a client, with response headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    body: Bytes,
    media_type: &'static str,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// Characters that need no encoding in an extended parameter (RFC 8187, section 3.2.1).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');

impl Answer {
    /// A file of a media type.
    pub fn new(body: impl Into<Bytes>, media_type: &'static str) -> Self {
        Self { body: body.into(), media_type, headers: Vec::new() }
    }

    /// Adds a header. A value that a header cannot contain is dropped.
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((HeaderName::from_static(name), value));
        }
        self
    }

    /// Adds a name to save the file under, in ASCII and in UTF-8 (RFC 6266).
    pub fn named(self, name: &str) -> Self {
        let ascii: String = name
            .chars()
            .map(|c| if c.is_ascii_graphic() && !matches!(c, '"' | '\\') || c == ' ' { c } else { '_' })
            .collect();
        let encoded = utf8_percent_encode(name, ENCODED);
        let value = format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{encoded}");
        self.with("content-disposition", &value)
    }

    /// The bytes of the file.
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = self.body.into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        headers.extend(self.headers);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sent_in_both_forms() {
        let response = Answer::new("x", "image/png").named("дім \"1\".png").into_response();
        assert_eq!(
            response.headers()[header::CONTENT_DISPOSITION],
            "attachment; filename=\"___ _1_.png\"; filename*=UTF-8''%D0%B4%D1%96%D0%BC%20%221%22.png"
        );
        assert_eq!(response.headers()[header::CONTENT_TYPE], "image/png");
    }

    #[test]
    fn what_no_header_can_hold_is_left_out() {
        assert!(Answer::new("x", "image/png").with("x-lacuna-method", "a\nb").headers.is_empty());
    }
}

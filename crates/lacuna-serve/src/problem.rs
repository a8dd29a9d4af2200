//! Errors as clients see them: problem documents of RFC 9457 (<https://www.rfc-editor.org/rfc/rfc9457>).

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use lacuna::Error;
use serde::Serialize;
use utoipa::ToSchema;

use crate::id::Id;

/// What went wrong, for programs: these names stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// The request is not of the form that this address takes.
    Malformed,
    /// No token, or a wrong one.
    Unauthorized,
    /// A page of another origin asked.
    OriginNotAllowed,
    /// The request was meant for another host.
    HostNotAllowed,
    /// There is nothing at this address.
    NotFound,
    /// The address does not take this method.
    MethodNotAllowed,
    /// The head or the body of the request came too slowly.
    RequestTimeout,
    /// No job of that name, or its result was given up.
    JobUnknown,
    /// The job's result is not there yet.
    JobUnfinished,
    /// The job was cancelled.
    JobCancelled,
    /// The job took too long.
    JobTimeout,
    /// The body has too many bytes.
    BodyTooLarge,
    /// The body is of another media type than this address takes.
    MediaType,
    /// A field that is needed is missing.
    FieldMissing,
    /// A field that nobody knows.
    FieldUnknown,
    /// A field with a value that it cannot have.
    FieldInvalid,
    /// The picture cannot be read.
    ImageInvalid,
    /// The picture is beyond the limits.
    ImageTooLarge,
    /// The mask cannot be read.
    MaskInvalid,
    /// The mask is not as large as the picture.
    MaskSize,
    /// The mask leaves nothing of the picture to fill from.
    NoKnownPixels,
    /// The format that was asked for cannot hold the picture.
    FormatUnfit,
    /// The job would take more memory than it may.
    Memory,
    /// Too many jobs are waiting.
    QueueFull,
    /// This client has too many jobs at a time.
    ClientBusy,
    /// The program or the model cannot draw the latent view.
    LatentUnavailable,
    /// The server is about to end.
    Stopping,
    /// A fault of the server.
    Internal,
}

impl Code {
    /// Every code.
    #[cfg(test)]
    const ALL: [Self; 28] = [
        Self::Malformed,
        Self::Unauthorized,
        Self::OriginNotAllowed,
        Self::HostNotAllowed,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::JobUnknown,
        Self::JobUnfinished,
        Self::JobCancelled,
        Self::JobTimeout,
        Self::BodyTooLarge,
        Self::MediaType,
        Self::FieldMissing,
        Self::FieldUnknown,
        Self::FieldInvalid,
        Self::ImageInvalid,
        Self::ImageTooLarge,
        Self::MaskInvalid,
        Self::MaskSize,
        Self::NoKnownPixels,
        Self::FormatUnfit,
        Self::Memory,
        Self::QueueFull,
        Self::ClientBusy,
        Self::LatentUnavailable,
        Self::Stopping,
        Self::Internal,
    ];

    /// Its name in documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unauthorized => "unauthorized",
            Self::OriginNotAllowed => "origin-not-allowed",
            Self::HostNotAllowed => "host-not-allowed",
            Self::NotFound => "not-found",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::RequestTimeout => "request-timeout",
            Self::JobUnknown => "job-unknown",
            Self::JobUnfinished => "job-unfinished",
            Self::JobCancelled => "job-cancelled",
            Self::JobTimeout => "job-timeout",
            Self::BodyTooLarge => "body-too-large",
            Self::MediaType => "media-type",
            Self::FieldMissing => "field-missing",
            Self::FieldUnknown => "field-unknown",
            Self::FieldInvalid => "field-invalid",
            Self::ImageInvalid => "image-invalid",
            Self::ImageTooLarge => "image-too-large",
            Self::MaskInvalid => "mask-invalid",
            Self::MaskSize => "mask-size",
            Self::NoKnownPixels => "no-known-pixels",
            Self::FormatUnfit => "format-unfit",
            Self::Memory => "memory",
            Self::QueueFull => "queue-full",
            Self::ClientBusy => "client-busy",
            Self::LatentUnavailable => "latent-unavailable",
            Self::Stopping => "stopping",
            Self::Internal => "internal",
        }
    }

    /// The status that goes with it.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::OriginNotAllowed => StatusCode::FORBIDDEN,
            Self::HostNotAllowed => StatusCode::MISDIRECTED_REQUEST,
            Self::NotFound | Self::JobUnknown => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::JobUnfinished | Self::JobCancelled => StatusCode::CONFLICT,
            Self::JobTimeout => StatusCode::GATEWAY_TIMEOUT,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::FieldMissing
            | Self::FieldUnknown
            | Self::FieldInvalid
            | Self::ImageInvalid
            | Self::ImageTooLarge
            | Self::MaskInvalid
            | Self::MaskSize
            | Self::NoKnownPixels
            | Self::FormatUnfit
            | Self::Memory => StatusCode::UNPROCESSABLE_ENTITY,
            Self::QueueFull | Self::ClientBusy => StatusCode::TOO_MANY_REQUESTS,
            Self::LatentUnavailable => StatusCode::NOT_IMPLEMENTED,
            Self::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// A line for people that is the same for all problems of this kind.
    pub fn title(self) -> &'static str {
        match self {
            Self::Malformed => "The request is malformed",
            Self::Unauthorized => "A token is needed",
            Self::OriginNotAllowed => "Pages of this origin may not ask",
            Self::HostNotAllowed => "The request was meant for another host",
            Self::NotFound => "Nothing is here",
            Self::MethodNotAllowed => "This method is not taken here",
            Self::RequestTimeout => "The request came too slowly",
            Self::JobUnknown => "There is no such job",
            Self::JobUnfinished => "The job is not finished",
            Self::JobCancelled => "The job was cancelled",
            Self::JobTimeout => "The job took too long",
            Self::BodyTooLarge => "The request is too large",
            Self::MediaType => "This media type is not taken here",
            Self::FieldMissing => "A field is missing",
            Self::FieldUnknown => "A field is unknown",
            Self::FieldInvalid => "A field has an impossible value",
            Self::ImageInvalid => "The picture cannot be read",
            Self::ImageTooLarge => "The picture is too large",
            Self::MaskInvalid => "The mask cannot be read",
            Self::MaskSize => "Mask and picture differ in size",
            Self::NoKnownPixels => "Nothing is left to fill from",
            Self::FormatUnfit => "The format cannot hold the picture",
            Self::Memory => "The job needs more memory than it may take",
            Self::QueueFull => "Too many jobs are waiting",
            Self::ClientBusy => "This client has too many jobs at a time",
            Self::LatentUnavailable => "There is no latent view here",
            Self::Stopping => "The server is stopping",
            Self::Internal => "The server failed",
        }
    }
}

/// An error on its way to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What went wrong.
    pub code: Code,
    /// What exactly, with the values that disagree.
    pub detail: String,
    /// Seconds after which it makes sense to ask again.
    pub retry_after: Option<u64>,
    /// Under this name the server's log tells more.
    pub id: Option<Id>,
}

/// A problem as it is sent.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct Document {
    /// Where the code is explained.
    #[serde(rename = "type")]
    kind: String,
    /// The same line for all problems of this code.
    title: &'static str,
    /// The response's status.
    status: u16,
    /// What exactly is wrong, in English.
    detail: String,
    /// What went wrong, for programs.
    code: Code,
    /// Of faults of the server: the name under which its log tells more.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
}

/// The media type of problem documents.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// Characters of a client's text that are repeated in a message.
const MOST_EXCERPT: usize = 64;

/// The beginning of a client's text, short enough for a message.
pub fn excerpt(text: &str) -> String {
    text.chars().take(MOST_EXCERPT).collect()
}

impl Problem {
    /// A problem.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), retry_after: None, id: None }
    }

    /// A fault of the server: the client gets a name, the log what happened.
    pub fn internal(what: &str) -> Self {
        let id = Id::random();
        tracing::error!(%id, what, "internal error");
        let detail = format!("a fault of the server; its log tells more under {id}");
        Self { id: Some(id), ..Self::new(Code::Internal, detail) }
    }

    /// What an error of the library is to a client.
    pub fn of(error: &Error) -> Self {
        let code = match error {
            Error::Argument(_) => Code::FieldInvalid,
            Error::Picture { .. } => Code::ImageInvalid,
            Error::Mask(inner) => match **inner {
                Error::Picture { .. } => Code::MaskInvalid,
                ref other => return Self::of(other),
            },
            Error::MaskSize { .. } => Code::MaskSize,
            Error::NoKnownPixels { .. } => Code::NoKnownPixels,
            Error::Unfit { .. } => Code::FormatUnfit,
            Error::TooLarge { .. } => Code::ImageTooLarge,
            Error::Memory { .. } => Code::Memory,
            Error::Stopped => Code::JobCancelled,
            Error::Checkpoint { .. } | Error::Read { .. } | Error::Write { .. } | Error::Predict { .. } => {
                return Self::internal(&error.to_string());
            }
        };
        Self::new(code, error.to_string())
    }

    /// As it is sent.
    pub fn document(&self) -> Document {
        Document {
            kind: format!("/docs#{}", self.code.name()),
            title: self.code.title(),
            status: self.code.status().as_u16(),
            detail: self.detail.clone(),
            code: self.code,
            id: self.id.map(|id| id.to_string()),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.code.status(), axum::Json(self.document())).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.code == Code::Unauthorized {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn codes_are_told_by_one_name() {
        let names: HashSet<&str> = Code::ALL.into_iter().map(Code::name).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for code in Code::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.name());
            assert!(code.status().is_client_error() || code.status().is_server_error());
        }
    }

    #[test]
    fn faults_tell_nothing_but_a_name() {
        let source = std::io::Error::other("disk on fire");
        let error = Error::Read { path: "/secret/path".into(), source };
        let problem = Problem::of(&error);
        let text = serde_json::to_string(&problem.document()).unwrap();
        assert!(problem.id.is_some() && !text.contains("secret") && !text.contains("fire"), "{text}");
    }
}

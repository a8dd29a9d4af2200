//! Errors as clients see them: problem documents (RFC 9457, <https://www.rfc-editor.org/rfc/rfc9457>).

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use lacuna::Error;
use lacuna::form::FieldError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::id::Id;

/// The kind of a problem, for programs: these names are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// The request does not have the expected form.
    Malformed,
    /// The token is missing or wrong.
    Unauthorized,
    /// The request came from a page of another origin.
    OriginNotAllowed,
    /// The request names another host.
    HostNotAllowed,
    /// There is nothing at this address.
    NotFound,
    /// The address does not accept this method.
    MethodNotAllowed,
    /// The request's headers or body arrived too slowly.
    RequestTimeout,
    /// There is no such job, or its result is no longer kept.
    JobUnknown,
    /// The job's result is not ready.
    JobUnfinished,
    /// The job was cancelled.
    JobCancelled,
    /// The job exceeded its time limit.
    JobTimeout,
    /// The body exceeds the size limit.
    BodyTooLarge,
    /// The body has another media type than the address accepts.
    MediaType,
    /// A required field is missing.
    FieldMissing,
    /// A field is unknown.
    FieldUnknown,
    /// A field has an invalid value.
    FieldInvalid,
    /// The image cannot be read.
    ImageInvalid,
    /// The image exceeds a limit.
    ImageTooLarge,
    /// The mask cannot be read.
    MaskInvalid,
    /// The mask's size differs from the image's.
    MaskSize,
    /// The mask leaves no known pixels to fill from.
    NoKnownPixels,
    /// The requested format cannot store the image.
    FormatUnfit,
    /// The job would exceed the memory limit.
    Memory,
    /// Too many jobs are waiting.
    QueueFull,
    /// This client has too many jobs at the same time.
    ClientBusy,
    /// The program or the model cannot draw the latent view.
    LatentUnavailable,
    /// The server is shutting down.
    Stopping,
    /// An internal error of the server.
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

    /// Its HTTP status.
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

    /// Its title for users, the same for all problems of this kind.
    pub fn title(self) -> &'static str {
        match self {
            Self::Malformed => "The request is malformed",
            Self::Unauthorized => "A token is required",
            Self::OriginNotAllowed => "Pages of this origin are not allowed",
            Self::HostNotAllowed => "The request was meant for another host",
            Self::NotFound => "Not found",
            Self::MethodNotAllowed => "This method is not allowed here",
            Self::RequestTimeout => "The request arrived too slowly",
            Self::JobUnknown => "There is no such job",
            Self::JobUnfinished => "The job is not finished",
            Self::JobCancelled => "The job was cancelled",
            Self::JobTimeout => "The job took too long",
            Self::BodyTooLarge => "The request is too large",
            Self::MediaType => "This media type is not accepted here",
            Self::FieldMissing => "A field is missing",
            Self::FieldUnknown => "A field is unknown",
            Self::FieldInvalid => "A field has an invalid value",
            Self::ImageInvalid => "The image cannot be read",
            Self::ImageTooLarge => "The image is too large",
            Self::MaskInvalid => "The mask cannot be read",
            Self::MaskSize => "Mask and image differ in size",
            Self::NoKnownPixels => "Nothing is left to fill from",
            Self::FormatUnfit => "The format cannot store the image",
            Self::Memory => "The job needs more memory than allowed",
            Self::QueueFull => "Too many jobs are waiting",
            Self::ClientBusy => "This client has too many jobs at the same time",
            Self::LatentUnavailable => "The latent view is not available",
            Self::Stopping => "The server is stopping",
            Self::Internal => "The server failed",
        }
    }
}

/// A problem on its way to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Its kind.
    pub code: Code,
    /// The details, with the values that disagree.
    pub detail: String,
    /// Seconds until a retry makes sense.
    pub retry_after: Option<u64>,
    /// The id under which the server's log has more information.
    pub id: Option<Id>,
}

/// A problem as it is sent.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct Document {
    /// URL of the code's documentation.
    #[serde(rename = "type")]
    kind: String,
    /// The same title for all problems of this code.
    title: &'static str,
    /// The response's status.
    status: u16,
    /// The details, in English.
    detail: String,
    /// The kind of problem, for programs.
    code: Code,
    /// For internal errors: the id under which the log has more information.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
}

/// The media type of problem documents.
pub const MEDIA_TYPE: &str = "application/problem+json";

impl From<FieldError> for Problem {
    fn from(error: FieldError) -> Self {
        let code = match error {
            FieldError::Unknown(_) => Code::FieldUnknown,
            FieldError::Invalid(_) => Code::FieldInvalid,
        };
        Self::new(code, error.to_string())
    }
}

impl Problem {
    /// A problem.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), retry_after: None, id: None }
    }

    /// An internal error: the client gets an id, the log the details.
    pub fn internal(what: &str) -> Self {
        let id = Id::random();
        tracing::error!(%id, what, "internal error");
        let detail = format!("internal server error; the log has details under {id}");
        Self { id: Some(id), ..Self::new(Code::Internal, detail) }
    }

    /// The problem of a library error.
    pub fn of(error: &Error) -> Self {
        let code = match error {
            Error::Argument(_) => Code::FieldInvalid,
            Error::Picture { .. } => Code::ImageInvalid,
            Error::Mask(inner) => match **inner {
                Error::Picture { .. } => Code::MaskInvalid,
                ref other => return Self::of(other),
            },
            Error::MaskSize { .. } | Error::MaskShape { .. } => Code::MaskSize,
            Error::NoKnownPixels { .. } => Code::NoKnownPixels,
            Error::Unfit { .. } => Code::FormatUnfit,
            Error::TooLarge { .. } => Code::ImageTooLarge,
            Error::Memory { .. } => Code::Memory,
            Error::Stopped => Code::JobCancelled,
            Error::Checkpoint { .. } | Error::Read { .. } | Error::Write { .. } | Error::Predict { .. } => {
                return Self::internal(&error.to_string());
            }
        };
        Self::new(code, format!("{error}{}", remedy(error)))
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

/// The field that would have helped.
fn remedy(error: &Error) -> &'static str {
    match error {
        Error::MaskSize { .. } => " (fit_mask)",
        Error::MaskShape { .. } => " (anchor)",
        _ => "",
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
    fn codes_have_one_name() {
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

//! Reading request bodies, with limits on size and time.

use std::error::Error;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::header;
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use lacuna::mask::MaskFrom;

use crate::config::Bounds;
use crate::fill::{MaskUpload, Upload};
use crate::problem::{Code, Problem};

/// Time limit of a whole body: 64 MiB at one megabit per second.
pub const LONGEST_BODY: Duration = Duration::from_secs(600);

/// Limit of a form's parts: more than twice the number of fields.
const MOST_PARTS: usize = 40;

/// Limit of a field that is not a file, in bytes: a model's name is the longest.
const LONGEST_FIELD: usize = 1024;

/// Limit of a file's name, in characters.
const LONGEST_NAME: usize = 100;

/// The parts of a form.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// The part `image`.
    pub image: Option<Upload>,
    /// The part `mask`.
    pub mask: Option<Upload>,
    /// The part `avoid`.
    pub avoid: Option<Upload>,
    /// The part `hint`.
    pub hint: Option<Upload>,
    /// All other parts, in order.
    pub fields: Vec<(String, String)>,
}

impl Form {
    /// Reads a `multipart/form-data` body.
    ///
    /// # Errors
    /// [`Code::MediaType`], [`Code::Malformed`], [`Code::BodyTooLarge`], [`Code::RequestTimeout`], or a field that is
    /// repeated or too long.
    pub async fn read(request: Request, bounds: &Bounds) -> Result<Self, Problem> {
        check_media_type(&request, "multipart/form-data")?;
        let request = limited(request, bounds)?;
        let mut parts = Multipart::from_request(request, &())
            .await
            .map_err(|rejection| Problem::new(Code::Malformed, rejection.body_text()))?;
        let mut form = Self::default();
        for _ in 0..MOST_PARTS {
            let next = in_time(bounds.stall, parts.next_field()).await?;
            let Some(mut part) = next.map_err(|error| broken(&error, bounds))? else { return Ok(form) };
            let name = part.name().unwrap_or_default().to_owned();
            let file = match name.as_str() {
                "image" => Some(&mut form.image),
                "mask" => Some(&mut form.mask),
                "avoid" => Some(&mut form.avoid),
                "hint" => Some(&mut form.hint),
                _ => None,
            };
            let file_name = file_name(part.file_name().unwrap_or(&name));
            let mut bytes = BytesMut::new();
            loop {
                let chunk = in_time(bounds.stall, part.chunk()).await?;
                let Some(chunk) = chunk.map_err(|error| broken(&error, bounds))? else { break };
                bytes.extend_from_slice(&chunk);
                if file.is_none() && bytes.len() > LONGEST_FIELD {
                    let detail = format!("field {name:?} has more than {LONGEST_FIELD} bytes");
                    return Err(Problem::new(Code::FieldInvalid, detail));
                }
            }
            let twice = || Problem::new(Code::FieldInvalid, format!("field {name:?} is given twice"));
            match file {
                Some(Some(_)) => return Err(twice()),
                Some(place) => *place = Some(Upload { name: file_name, bytes: bytes.freeze() }),
                None if form.fields.iter().any(|(other, _)| *other == name) => return Err(twice()),
                None => {
                    let value = String::from_utf8(bytes.into()).map_err(|_| {
                        Problem::new(Code::FieldInvalid, format!("field {name:?} is not UTF-8"))
                    })?;
                    form.fields.push((name, value));
                }
            }
        }
        Err(Problem::new(Code::Malformed, format!("the form has more than {MOST_PARTS} parts")))
    }

    /// Takes the image.
    ///
    /// # Errors
    /// [`Code::FieldMissing`].
    pub fn take_image(&mut self) -> Result<Upload, Problem> {
        self.image.take().ok_or_else(|| missing("image"))
    }

    /// Takes the mask.
    ///
    /// # Errors
    /// [`Code::FieldMissing`].
    pub fn take_mask(&mut self) -> Result<Upload, Problem> {
        self.mask.take().ok_or_else(|| missing("mask"))
    }

    /// What says where the hole is.
    ///
    /// # Errors
    /// [`Code::FieldMissing`] without the mask file; [`Code::FieldInvalid`] with one that is not used.
    pub fn take_mask_from(&mut self, from: MaskFrom) -> Result<MaskUpload, Problem> {
        match (from, &self.mask) {
            (MaskFrom::File, _) => self.take_mask().map(MaskUpload::File),
            (MaskFrom::Alpha, None) => Ok(MaskUpload::Alpha),
            (MaskFrom::Alpha, Some(_)) => {
                Err(Problem::new(Code::FieldInvalid, "mask_from alpha takes no mask, but a mask was sent"))
            }
        }
    }
}

fn missing(name: &str) -> Problem {
    Problem::new(Code::FieldMissing, format!("the file {name} is missing"))
}

/// Reads a complete JSON body.
///
/// # Errors
/// [`Code::MediaType`], [`Code::Malformed`], [`Code::BodyTooLarge`] or [`Code::RequestTimeout`].
pub async fn read_json(request: Request, bounds: &Bounds) -> Result<Bytes, Problem> {
    check_media_type(&request, "application/json")?;
    let mut body = limited(request, bounds)?.into_body();
    let mut bytes = BytesMut::new();
    while let Some(frame) = in_time(bounds.stall, body.frame()).await? {
        let frame = frame.map_err(|error| broken(&error, bounds))?;
        if let Ok(data) = frame.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes.freeze())
}

/// A request whose body ends with an error at the limit. One that announces a longer body, or an encoded body, is
/// refused before it is read.
fn limited(request: Request, bounds: &Bounds) -> Result<Request, Problem> {
    if let Some(encoding) = request.headers().get(header::CONTENT_ENCODING)
        && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        let detail = format!("Content-Encoding is {encoding:?}, but only unencoded bodies are accepted");
        return Err(Problem::new(Code::MediaType, detail));
    }
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if let Some(length) = length.filter(|&length| length > bounds.body_bytes as u64) {
        let detail = format!("the body has {length} bytes, at most {} are accepted", bounds.body_bytes);
        return Err(Problem::new(Code::BodyTooLarge, detail));
    }
    Ok(request.map(|body| Body::new(Limited::new(body, bounds.body_bytes))))
}

fn check_media_type(request: &Request, expected: &str) -> Result<(), Problem> {
    let value = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == expected {
        return Ok(());
    }
    let found = if essence.is_empty() { "no Content-Type".into() } else { format!("{essence:?}") };
    Err(Problem::new(Code::MediaType, format!("expected {expected}, got {found}")))
}

/// The result of reading, within a time limit.
///
/// # Errors
/// [`Code::RequestTimeout`].
pub async fn in_time<T>(limit: Duration, reading: impl Future<Output = T>) -> Result<T, Problem> {
    tokio::time::timeout(limit, reading).await.map_err(|_| {
        let detail = format!("the body did not arrive within {} seconds", limit.as_secs());
        Problem::new(Code::RequestTimeout, detail)
    })
}

/// The problem that interrupted a body.
fn broken(error: &(dyn Error + 'static), bounds: &Bounds) -> Problem {
    let mut causes = std::iter::successors(Some(error), |&error| error.source());
    if causes.any(|cause| cause.is::<LengthLimitError>()) {
        let detail = format!("the body exceeds the limit of {} bytes", bounds.body_bytes);
        return Problem::new(Code::BodyTooLarge, detail);
    }
    Problem::new(Code::Malformed, "the body is not a complete form")
}

/// A file's name without folders and control characters, shortened.
fn file_name(given: &str) -> String {
    let last = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: Vec<char> = last.chars().filter(|c| !c.is_control()).collect();
    // The end is kept because it contains the extension.
    clean[clean.len().saturating_sub(LONGEST_NAME)..].iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDARY: &str = "multipart/form-data; boundary=X";

    fn bounds() -> Bounds {
        Bounds { body_bytes: 4000, stall: Duration::from_millis(20), ..Bounds::default() }
    }

    fn part(head: &str, body: &str) -> String {
        format!("--X\r\nContent-Disposition: form-data; {head}\r\n\r\n{body}\r\n")
    }

    async fn read(body: impl Into<Body>, media_type: &str) -> Result<Form, Problem> {
        let request = Request::builder().header("content-type", media_type).body(body.into()).unwrap();
        Form::read(request, &bounds()).await
    }

    #[tokio::test]
    async fn parts_find_their_places() {
        let body = part("name=\"image\"; filename=\"C:\\\\x\\\\a b.png\"", "PNG")
            + &part("name=\"seed\"", "7")
            + &part("name=\"mask\"; filename=\"../../etc/m.png\"", "MASK")
            + "--X--\r\n";
        let form = read(body, BOUNDARY).await.unwrap();
        let upload =
            |name: &str, bytes: &'static str| Some(Upload { name: name.into(), bytes: bytes.into() });
        assert_eq!(form.image, upload("a b.png", "PNG"));
        assert_eq!(form.mask, upload("m.png", "MASK"));
        assert_eq!(form.fields, [("seed".to_owned(), "7".to_owned())]);
    }

    #[tokio::test]
    async fn what_is_no_form_is_refused() {
        let end = "--X--\r\n";
        for (body, media_type, code) in [
            (String::new(), "text/plain", Code::MediaType),
            (String::new(), "", Code::MediaType),
            (String::new(), "multipart/form-data", Code::Malformed),
            (part("name=\"seed\"", "7"), BOUNDARY, Code::Malformed),
            ("hello".to_owned(), BOUNDARY, Code::Malformed),
            (part("name=\"seed\"", "7").repeat(2) + end, BOUNDARY, Code::FieldInvalid),
            (part("name=\"mask\"", "7").repeat(2) + end, BOUNDARY, Code::FieldInvalid),
            (part("name=\"seed\"", &"7".repeat(1025)) + end, BOUNDARY, Code::FieldInvalid),
            (part("name=\"image\"", &"7".repeat(4000)) + end, BOUNDARY, Code::BodyTooLarge),
            (
                (0..=MOST_PARTS).map(|i| part(&format!("name=\"{i}\""), "")).collect::<String>() + end,
                BOUNDARY,
                Code::Malformed,
            ),
        ] {
            let problem = read(body.clone(), media_type).await.unwrap_err();
            assert_eq!(problem.code, code, "{media_type} {body:.80} {problem:?}");
        }
    }

    #[tokio::test]
    async fn a_body_that_stops_coming_is_given_up() {
        let head = part("name=\"image\"", "beg");
        let stream = futures_util::StreamExt::chain(
            futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from(head))]),
            futures_util::stream::pending(),
        );
        let problem = read(Body::from_stream(stream), BOUNDARY).await.unwrap_err();
        assert_eq!(problem.code, Code::RequestTimeout);
    }

    #[tokio::test]
    async fn a_length_beyond_the_limit_is_refused_unread() {
        let request = Request::builder()
            .header("content-type", "application/json")
            .header("content-length", "4001")
            .body(Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>()))
            .unwrap();
        let problem = read_json(request, &bounds()).await.unwrap_err();
        assert!(problem.code == Code::BodyTooLarge && problem.detail.contains("4001"), "{problem:?}");
    }

    #[test]
    fn names_lose_folders() {
        for (given, expected) in
            [("a.png", "a.png"), ("/etc/passwd", "passwd"), ("..\\x\n.png", "x.png"), ("", ""), ("a/", "")]
        {
            assert_eq!(file_name(given), expected);
        }
        assert_eq!(file_name(&("x".repeat(500) + ".png")).len(), LONGEST_NAME);
    }
}

//! Error messages with the command line option that changes the limit.

use lacuna::error::Limit;

/// The message of an error with its causes and, if there is one, the option to change.
pub fn message(error: &anyhow::Error) -> String {
    let option = error.chain().filter_map(|cause| cause.downcast_ref::<lacuna::Error>()).find_map(option);
    match option {
        Some(option) => format!("{error:#} ({option})"),
        None => format!("{error:#}"),
    }
}

fn option(error: &lacuna::Error) -> Option<&'static str> {
    match error {
        lacuna::Error::NoKnownPixels { .. } => return Some("--invert"),
        lacuna::Error::MaskSize { .. } => return Some("--fit-mask"),
        lacuna::Error::MaskShape { .. } => return Some("--anchor"),
        _ => {}
    }
    error.limit().map(|limit| match limit {
        Limit::Side => "--max-side",
        Limit::Pixels => "--max-pixels",
        Limit::Bytes => "--max-bytes",
        Limit::Memory => "--max-memory",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;
    use lacuna::Error;

    #[test]
    fn limits_name_their_option_through_contexts() {
        let error = Error::Memory { what: "a".into(), needed: 2048, allowed: 1024 }.in_mask();
        let error = Err::<(), _>(error).context("b.png").unwrap_err();
        let expected = "b.png: a: 2.0 KiB of memory are needed, 1.0 KiB are allowed (--max-memory)";
        assert_eq!(message(&error), expected);
        assert_eq!(message(&Error::picture("a", "b").into()), "a: b");
    }
}

//! What JavaScript calls, and what it is asked to do.

use lacuna::Watch;

use crate::{Reply, answer};

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    /// Receives the finished fraction of a fill, 0 to 1.
    safe fn lacuna_progress(fraction: f32);
    /// Receives the message of a panic, as UTF-8. The module cannot be used afterwards.
    fn lacuna_panicked(text: *const u8, length: usize);
}

/// Where a reply is, for JavaScript: four numbers of 32 bits.
#[repr(C)]
#[derive(Debug)]
pub struct Place {
    document: *const u8,
    document_length: usize,
    file: *const u8,
    file_length: usize,
    /// What is there.
    reply: Reply,
}

/// Must be called once, before everything else.
#[unsafe(no_mangle)]
pub extern "C" fn lacuna_start() {
    std::panic::set_hook(Box::new(|panic| {
        let text = panic.to_string();
        // SAFETY: the text lives until the call returns.
        unsafe { lacuna_panicked(text.as_ptr(), text.len()) };
    }));
}

/// Memory of `length` bytes for a request. [`lacuna_call`] takes it back. Null if there is none.
#[unsafe(no_mangle)]
pub extern "C" fn lacuna_take(length: usize) -> *mut u8 {
    let mut bytes: Vec<u8> = Vec::new();
    if bytes.try_reserve_exact(length).is_err() {
        return std::ptr::null_mut();
    }
    bytes.resize(length, 0);
    Box::into_raw(bytes.into_boxed_slice()).cast()
}

/// Answers a request.
///
/// # Safety
/// `request` must come from [`lacuna_take`] for this length.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lacuna_call(request: *mut u8, length: usize, document: usize) -> *mut Place {
    // SAFETY: the caller's promise.
    let bytes = unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(request, length)) };
    let reply = answer(&bytes, document, &Watch::calling(|fraction| lacuna_progress(fraction)));
    let (document, file) = (reply.document.as_bytes(), reply.file.as_slice());
    let place = Place {
        document: document.as_ptr(),
        document_length: document.len(),
        file: file.as_ptr(),
        file_length: file.len(),
        // The bytes stay where they are when their owners move.
        reply,
    };
    Box::into_raw(Box::new(place))
}

/// Frees a reply.
///
/// # Safety
/// It must come from [`lacuna_call`], and not be used afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lacuna_free(place: *mut Place) {
    // SAFETY: the caller's promise.
    drop(unsafe { Box::from_raw(place) });
}

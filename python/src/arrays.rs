//! Fills of arrays in memory.

use lacuna::picture::OwnedSamples;
use lacuna::{FillJob, Mask, Picture};
use numpy::{Element, PyArray1, PyArray3, PyArrayMethods, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::errors::{Class, raise, raised};
use crate::loaded::loaded;
use crate::run::run;
use crate::settings::Settings;

/// Fills the hole of an image once for each seed. Returns the samples of each result, and notes.
///
/// # Shapes
/// `image`: `[height, width, channels]`; `mask` and `avoid`: `[height, width]`; all are contiguous.
#[pyfunction]
pub fn fill<'py>(
    py: Python<'py>,
    settings: Settings,
    image: Bound<'py, PyAny>,
    mask: PyReadonlyArray2<'py, bool>,
    avoid: Option<PyReadonlyArray2<'py, bool>>,
    seeds: Vec<u64>,
) -> PyResult<(Vec<Bound<'py, PyAny>>, Vec<String>)> {
    let picture = picture(&image)?;
    let mask = hole(&mask)?;
    let avoid = avoid.as_ref().map(hole).transpose()?;
    let loaded = loaded(py, &settings)?;
    let job = settings.job(loaded.predictor.clone()).map_err(|error| raise(py, &error))?;
    let mut picture = Some(picture);
    let (filled, notes) = run(py, &loaded, settings.timeout, |watch| {
        let (mut filled, mut notes) = (Vec::new(), Vec::new());
        for (index, &seed) in seeds.iter().enumerate() {
            let ends = [index, index + 1].map(|end| end as f32 / seeds.len() as f32);
            let job = FillJob { seed, ..job.clone() };
            let is_last = index + 1 == seeds.len();
            let Some(mut picture) = (if is_last { picture.take() } else { picture.clone() }) else { break };
            let done = job.fill_pixels(&mut picture, &mask, avoid.as_ref(), &watch.part(ends[0], ends[1]))?;
            // All seeds have the same notes.
            notes = done.notes;
            filled.push(picture.into_samples());
        }
        Ok((filled, notes))
    })?;
    Ok((filled.into_iter().map(|samples| array(py, samples)).collect(), notes))
}

fn picture(image: &Bound<'_, PyAny>) -> PyResult<Picture> {
    let py = image.py();
    let (shape, samples) = if let Ok(array) = image.cast::<PyArray3<u8>>() {
        (array.shape(), OwnedSamples::Eight(samples(array)?))
    } else if let Ok(array) = image.cast::<PyArray3<u16>>() {
        (array.shape(), OwnedSamples::Sixteen(samples(array)?))
    } else if let Ok(array) = image.cast::<PyArray3<f32>>() {
        (array.shape(), OwnedSamples::Float(samples(array)?))
    } else {
        return Err(PyTypeError::new_err("image must be an array [height, width, channels] of known type"));
    };
    let side = |side: usize| {
        u32::try_from(side).map_err(|_| {
            let text = format!("image: a side of {side} pixels, at most {} are possible", u32::MAX);
            raised(py, Class::TooLarge, &text)
        })
    };
    let (height, width, channels) = (side(shape[0])?, side(shape[1])?, shape[2]);
    let picture = Picture::from_samples("image", (width, height), channels, samples);
    picture.map_err(|error| raise(py, &error))
}

fn samples<T: Element + Copy>(array: &Bound<'_, PyArray3<T>>) -> PyResult<Vec<T>> {
    Ok(array.try_readonly()?.as_slice()?.to_vec())
}

fn hole(mask: &PyReadonlyArray2<'_, bool>) -> PyResult<Mask> {
    let shape = mask.shape();
    Ok(Mask::new(shape[1], shape[0], mask.as_slice()?.to_vec()))
}

fn array(py: Python<'_>, samples: OwnedSamples) -> Bound<'_, PyAny> {
    match samples {
        OwnedSamples::Eight(samples) => PyArray1::from_vec(py, samples).into_any(),
        OwnedSamples::Sixteen(samples) => PyArray1::from_vec(py, samples).into_any(),
        OwnedSamples::Float(samples) => PyArray1::from_vec(py, samples).into_any(),
    }
}

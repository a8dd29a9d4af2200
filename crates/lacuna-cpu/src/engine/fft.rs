//! The discrete Fourier transform of a line of complex vectors: sixteen transforms at once, of any length.
//!
//! Stockham's self-sorting form (Cochran et al. 1967) with radices 2, 3, 4, 5 and 7; other lengths use Bluestein's
//! chirp transform (1970), a convolution of a length with these factors. Existing crates transform one line of scalars
//! at a time; with channels in vectors every lane is used and nothing is transposed.
#![expect(unsafe_code, reason = "vectors in raw memory")]

use std::f64::consts::TAU;

use crate::simd::{LANES, Simd};

/// Values of a complex vector: real lanes, then imaginary lanes.
pub(crate) const COMPLEX: usize = 2 * LANES;

/// A transform of one length.
#[derive(Debug)]
pub(crate) struct Fft {
    length: usize,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Stockham(Vec<Stage>),
    Bluestein {
        inner: Box<Fft>,
        /// `exp(-i pi k² / length)`.
        chirp: Vec<Turn>,
        /// The transform of the inverse chirp, divided by the inner length.
        filter: Vec<Turn>,
    },
}

/// A complex number.
#[derive(Clone, Copy, Debug)]
struct Turn {
    re: f32,
    im: f32,
}

#[derive(Debug)]
struct Stage {
    radix: usize,
    /// Butterflies with different twiddle factors …
    butterflies: usize,
    /// … each for this many neighbours.
    neighbours: usize,
    /// For each butterfly the twiddle factors of its outputs except the first.
    turns: Vec<Turn>,
}

const RADICES: [usize; 5] = [4, 2, 3, 5, 7];

impl Fft {
    /// A transform of `length` values.
    ///
    /// # Panics
    /// If `length` is 0.
    pub fn new(length: usize) -> Self {
        assert!(length > 0, "a transform of nothing");
        let kind = match factors(length) {
            Some(radices) => Kind::Stockham(stages(length, &radices)),
            None => bluestein(length),
        };
        Self { length, kind }
    }

    /// Size of each of the two work buffers of [`Fft::run`], in complex vectors.
    pub fn work(&self) -> usize {
        match &self.kind {
            Kind::Stockham(_) => self.length,
            Kind::Bluestein { inner, .. } => inner.length,
        }
    }

    /// Transforms the line in `a` without scaling; returns the buffer with the result, `a` or `b`. Swapping real and
    /// imaginary lanes before and after gives the inverse.
    ///
    /// # Safety
    /// Both buffers must be complex vectors, [`Fft::work`] of them, and not overlap.
    #[inline(always)]
    pub unsafe fn run<S: Simd>(&self, simd: S, a: *mut f32, b: *mut f32) -> *mut f32 {
        // SAFETY: the caller's promise.
        unsafe {
            match &self.kind {
                Kind::Stockham(stages) => all_stages(simd, stages, a, b),
                Kind::Bluestein { inner, chirp, filter } => {
                    let Kind::Stockham(stages) = &inner.kind else { unreachable!("a smooth length") };
                    chirped(simd, stages, (chirp, filter), a, b)
                }
            }
        }
    }
}

/// The radices of a length, if it has no other factors.
fn factors(mut length: usize) -> Option<Vec<usize>> {
    let mut radices = Vec::new();
    for radix in RADICES {
        while length.is_multiple_of(radix) {
            radices.push(radix);
            length /= radix;
        }
    }
    (length == 1).then_some(radices)
}

fn turn(numerator: usize, denominator: usize) -> Turn {
    let (sin, cos) = libm::sincos(-TAU * (numerator % denominator) as f64 / denominator as f64);
    Turn { re: cos as f32, im: sin as f32 }
}

fn stages(length: usize, radices: &[usize]) -> Vec<Stage> {
    let (mut rest, mut neighbours) = (length, 1);
    let mut stages = Vec::new();
    for &radix in radices {
        let butterflies = rest / radix;
        let turns = (0..butterflies).flat_map(|p| (1..radix).map(move |k| turn(p * k, rest))).collect();
        stages.push(Stage { radix, butterflies, neighbours, turns });
        rest = butterflies;
        neighbours *= radix;
    }
    stages
}

fn bluestein(length: usize) -> Kind {
    // The shortest length with supported factors that fits the convolution.
    let inner =
        (2 * length - 1..).find(|&length| factors(length).is_some()).expect("a power of two at the latest");
    let chirp: Vec<Turn> = (0..length).map(|k| turn(k * k, 2 * length)).collect();
    let angle = |k: usize| TAU * (k * k % (2 * length)) as f64 / (2 * length) as f64;
    let table: Vec<(f64, f64)> = (0..inner)
        .map(|k| libm::sincos(TAU * k as f64 / inner as f64))
        .map(|(sin, cos)| (cos, sin))
        .collect();
    let filter = (0..inner)
        .map(|k| {
            // The chirp is even: its values at j and inner - j are the same.
            let (mut re, mut im) = (1.0, 0.0);
            for j in 1..length {
                let (sin, cos) = libm::sincos(angle(j));
                let twice = 2.0 * table[j * k % inner].0;
                re += cos * twice;
                im += sin * twice;
            }
            Turn { re: (re / inner as f64) as f32, im: (im / inner as f64) as f32 }
        })
        .collect();
    Kind::Bluestein { inner: Box::new(Fft::new(inner)), chirp, filter }
}

/// A complex vector.
#[derive(Clone, Copy)]
struct Complex<V> {
    re: V,
    im: V,
}

#[inline(always)]
unsafe fn load<S: Simd>(simd: S, from: *const f32, index: usize) -> Complex<S::V> {
    // SAFETY: the caller's promise.
    unsafe {
        let from = from.add(index * COMPLEX);
        Complex { re: simd.load(from), im: simd.load(from.add(LANES)) }
    }
}

#[inline(always)]
unsafe fn store<S: Simd>(simd: S, to: *mut f32, index: usize, value: Complex<S::V>) {
    // SAFETY: the caller's promise.
    unsafe {
        let to = to.add(index * COMPLEX);
        simd.store(to, value.re);
        simd.store(to.add(LANES), value.im);
    }
}

#[inline(always)]
fn add<S: Simd>(simd: S, a: Complex<S::V>, b: Complex<S::V>) -> Complex<S::V> {
    Complex { re: simd.add(a.re, b.re), im: simd.add(a.im, b.im) }
}

#[inline(always)]
fn sub<S: Simd>(simd: S, a: Complex<S::V>, b: Complex<S::V>) -> Complex<S::V> {
    Complex { re: simd.sub(a.re, b.re), im: simd.sub(a.im, b.im) }
}

#[inline(always)]
fn rotate<S: Simd>(simd: S, a: Complex<S::V>, by: Turn) -> Complex<S::V> {
    let (cos, sin, minus_sin) = (simd.splat(by.re), simd.splat(by.im), simd.splat(-by.im));
    Complex {
        re: simd.mul_add(a.re, cos, simd.mul(a.im, minus_sin)),
        im: simd.mul_add(a.re, sin, simd.mul(a.im, cos)),
    }
}

/// `-i a`.
#[inline(always)]
fn quarter<S: Simd>(simd: S, a: Complex<S::V>) -> Complex<S::V> {
    Complex { re: a.im, im: simd.sub(simd.splat(0.0), a.re) }
}

/// # Safety
/// As [`Fft::run`].
#[inline(always)]
unsafe fn all_stages<S: Simd>(simd: S, stages: &[Stage], a: *mut f32, b: *mut f32) -> *mut f32 {
    let (mut from, mut to) = (a, b);
    for stage in stages {
        // SAFETY: the caller's promise.
        unsafe {
            match stage.radix {
                2 => butterflies::<S, 2>(simd, stage, from, to, &TURNS_2),
                3 => butterflies::<S, 3>(simd, stage, from, to, &TURNS_3),
                4 => butterflies::<S, 4>(simd, stage, from, to, &TURNS_4),
                5 => butterflies::<S, 5>(simd, stage, from, to, &TURNS_5),
                7 => butterflies::<S, 7>(simd, stage, from, to, &TURNS_7),
                radix => unreachable!("radix {radix}"),
            }
        }
        std::mem::swap(&mut from, &mut to);
    }
    from
}

/// # Safety
/// As [`Fft::run`].
#[inline(always)]
unsafe fn butterflies<S: Simd, const R: usize>(
    simd: S,
    stage: &Stage,
    from: *const f32,
    to: *mut f32,
    circle: &Turns<R>,
) {
    let Stage { butterflies, neighbours, .. } = *stage;
    for p in 0..butterflies {
        let turns = &stage.turns[p * (R - 1)..][..R - 1];
        for q in 0..neighbours {
            // SAFETY: indices below R * butterflies * neighbours, the length.
            unsafe {
                let mut x = [zero(simd); R];
                for (j, x) in x.iter_mut().enumerate() {
                    *x = load(simd, from, q + neighbours * (p + butterflies * j));
                }
                let y = transform(simd, x, circle);
                store(simd, to, q + neighbours * R * p, y[0]);
                for k in 1..R {
                    let turned = if p == 0 { y[k] } else { rotate(simd, y[k], turns[k - 1]) };
                    store(simd, to, q + neighbours * (R * p + k), turned);
                }
            }
        }
    }
}

#[inline(always)]
fn zero<S: Simd>(simd: S) -> Complex<S::V> {
    Complex { re: simd.splat(0.0), im: simd.splat(0.0) }
}

/// The transform of `R` values.
#[inline(always)]
fn transform<S: Simd, const R: usize>(
    simd: S,
    x: [Complex<S::V>; R],
    circle: &Turns<R>,
) -> [Complex<S::V>; R] {
    let mut y = x;
    match R {
        2 => {
            y[0] = add(simd, x[0], x[1]);
            y[1] = sub(simd, x[0], x[1]);
        }
        4 => {
            let (even, even_difference) = (add(simd, x[0], x[2]), sub(simd, x[0], x[2]));
            let (odd, odd_difference) = (add(simd, x[1], x[3]), sub(simd, x[1], x[3]));
            let turned = quarter(simd, odd_difference);
            y[0] = add(simd, even, odd);
            y[1] = add(simd, even_difference, turned);
            y[2] = sub(simd, even, odd);
            y[3] = sub(simd, even_difference, turned);
        }
        _ => y = odd(simd, x, circle),
    }
    y
}

/// Cosines and sines of the multiples of a turn divided by the radix.
type Turns<const R: usize> = [(f32, f32); R];

const TURNS_2: Turns<2> = [(1.0, 0.0), (-1.0, 0.0)];
const TURNS_4: Turns<4> = [(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0)];
const TURNS_3: Turns<3> = [(1.0, 0.0), (-0.5, 0.866_025_4), (-0.5, -0.866_025_4)];
const TURNS_5: Turns<5> = [
    (1.0, 0.0),
    (0.309_017, 0.951_056_5),
    (-0.809_017, 0.587_785_25),
    (-0.809_017, -0.587_785_25),
    (0.309_017, -0.951_056_5),
];
const TURNS_7: Turns<7> = [
    (1.0, 0.0),
    (0.623_489_8, 0.781_831_5),
    (-0.222_520_93, 0.974_927_9),
    (-0.900_968_85, 0.433_883_73),
    (-0.900_968_85, -0.433_883_73),
    (-0.222_520_93, -0.974_927_9),
    (0.623_489_8, -0.781_831_5),
];

#[inline(always)]
fn odd<S: Simd, const R: usize>(simd: S, x: [Complex<S::V>; R], turns: &Turns<R>) -> [Complex<S::V>; R] {
    let mut y = [x[0]; R];
    let (mut sums, mut differences) = (x, x);
    for j in 1..=R / 2 {
        sums[j] = add(simd, x[j], x[R - j]);
        differences[j] = sub(simd, x[j], x[R - j]);
        y[0] = add(simd, y[0], sums[j]);
    }
    for k in 1..=R / 2 {
        let mut even = x[0];
        let mut odd = zero(simd);
        for j in 1..=R / 2 {
            let (cos, sin) = turns[j * k % R];
            let (cos, sin) = (simd.splat(cos), simd.splat(sin));
            even.re = simd.mul_add(sums[j].re, cos, even.re);
            even.im = simd.mul_add(sums[j].im, cos, even.im);
            odd.re = simd.mul_add(differences[j].re, sin, odd.re);
            odd.im = simd.mul_add(differences[j].im, sin, odd.im);
        }
        let turned = quarter(simd, odd);
        y[k] = add(simd, even, turned);
        y[R - k] = sub(simd, even, turned);
    }
    y
}

/// Bluestein's transform, given the stages of the inner length.
///
/// # Safety
/// As [`Fft::run`].
#[inline(always)]
unsafe fn chirped<S: Simd>(
    simd: S,
    stages: &[Stage],
    (chirp, filter): (&[Turn], &[Turn]),
    a: *mut f32,
    b: *mut f32,
) -> *mut f32 {
    // SAFETY: the caller's promise: room for the inner length.
    unsafe {
        for (k, &by) in chirp.iter().enumerate() {
            store(simd, a, k, rotate(simd, load(simd, a, k), by));
        }
        for k in chirp.len()..filter.len() {
            store(simd, a, k, zero(simd));
        }
        let spectrum = all_stages(simd, stages, a, b);
        for (k, &by) in filter.iter().enumerate() {
            let product = rotate(simd, load(simd, spectrum, k), by);
            // Swapped, so that the next transform is the inverse.
            store(simd, spectrum, k, Complex { re: product.im, im: product.re });
        }
        let other = if std::ptr::eq(spectrum, a) { b } else { a };
        let line = all_stages(simd, stages, spectrum, other);
        for (k, &by) in chirp.iter().enumerate() {
            let swapped = load(simd, line, k);
            store(simd, line, k, rotate(simd, Complex { re: swapped.im, im: swapped.re }, by));
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Isa;
    use crate::simd::{Op, dispatch};
    use testkit::assert_close;
    use testkit::pictures::noise;

    /// For values of the size of the square root of the length.
    const TOLERANCE: f32 = 2e-6;

    struct Line<'a> {
        fft: &'a Fft,
        values: &'a [f32],
    }

    impl Op for Line<'_> {
        type Output = Vec<f32>;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Vec<f32> {
            let mut a = vec![f32::NAN; self.fft.work() * COMPLEX];
            let mut b = a.clone();
            a[..self.values.len()].copy_from_slice(self.values);
            // SAFETY: as much room as asked for.
            let at_a = unsafe { self.fft.run(simd, a.as_mut_ptr(), b.as_mut_ptr()) } == a.as_mut_ptr();
            let mut result = if at_a { a } else { b };
            result.truncate(self.values.len());
            result
        }
    }

    fn by_definition(values: &[f32], length: usize) -> Vec<f32> {
        let mut result = vec![0.0; values.len()];
        for k in 0..length {
            for lane in 0..LANES {
                let (mut re, mut im) = (0.0f64, 0.0f64);
                for j in 0..length {
                    let (sin, cos) = (-TAU * (j * k % length) as f64 / length as f64).sin_cos();
                    let [a, b] = [0, LANES].map(|part| f64::from(values[j * COMPLEX + part + lane]));
                    re += a * cos - b * sin;
                    im += a * sin + b * cos;
                }
                result[k * COMPLEX + lane] = re as f32;
                result[k * COMPLEX + LANES + lane] = im as f32;
            }
        }
        result
    }

    #[test]
    fn it_is_the_transform_at_every_length() {
        for length in (1..=64).chain([96, 100, 127, 128, 131, 210, 256, 343]) {
            let fft = Fft::new(length);
            let values = noise(length as u64, length * COMPLEX);
            let expected = by_definition(&values, length);
            for isa in Isa::available() {
                let result = dispatch(isa, Line { fft: &fft, values: &values });
                assert_close(&result, &expected, TOLERANCE * (length as f32).sqrt().max(2.0));
            }
        }
    }
}

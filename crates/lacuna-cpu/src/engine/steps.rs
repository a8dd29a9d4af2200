//! What a plan says of each of its steps.

use serde::Serialize;

use super::fourier::frequencies;
use super::network::{LEVELS, Network, Refine, latent_parts};
use super::plan::Sizes;

/// A step of a plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// Where in the network.
    pub name: String,
    /// What computes it.
    pub kernel: &'static str,
    /// Channels, rows and columns of its result.
    pub shape: [usize; 3],
    /// Multiplications and additions by the definition, whatever the kernel saves.
    pub operations: f64,
    /// Bytes of weights, input and output.
    pub bytes: f64,
}

/// The steps of a run over a picture of this size.
pub(crate) fn steps(network: &Network, sizes: Sizes) -> Vec<Step> {
    Lister { network, sizes }.list()
}

struct Lister<'n> {
    network: &'n Network,
    sizes: Sizes,
}

impl Lister<'_> {
    /// The steps in the order in which the run counts them.
    fn list(&self) -> Vec<Step> {
        let mut list = Steps(Vec::new());
        let (network, sizes) = (self.network, self.sizes);
        let level = |level: usize| [network.levels[level].total(), sizes.rows(level), sizes.columns(level)];
        let image = [network.config.channels_in, sizes.height, sizes.width];
        list.conv("encoder.stem", "interleaved 7x7", image, level(0), 49.0);
        for below in 0..LEVELS {
            list.conv(&format!("encoder.down.{below}"), "tiles 3x3 /2", level(below), level(below + 1), 9.0);
        }
        if let Some(control) = &network.control {
            let mask =
                |level: usize| [control.levels[level].total(), sizes.rows(level), sizes.columns(level)];
            list.add("control.encoder.0", "two values", mask(0), 0.0, mask(0).iter().product::<usize>());
            for below in 0..LEVELS {
                let name = format!("control.encoder.{}", below + 1);
                list.conv(&name, "tiles 3x3 /2", mask(below), mask(below + 1), 9.0);
                list.conv(
                    &format!("control.zero.{}", below + 1),
                    "tiles 1x1",
                    mask(below + 1),
                    mask(below + 1),
                    1.0,
                );
            }
        }
        for (index, block) in network.blocks.iter().enumerate() {
            for name in ["first", "second"] {
                let name = format!("refiner.blocks.{index}.{name}");
                match block {
                    Refine::Fourier(_) => self.fourier_steps(&mut list, &name),
                    Refine::Regular(_) => self.regular_steps(&mut list, &name),
                }
            }
        }
        if network.adds_latent() {
            list.add("refiner.delta", "sum", level(LEVELS), 0.0, 3 * level(LEVELS).iter().product::<usize>());
        }
        for step in 0..LEVELS {
            let (below, above) = (level(LEVELS - step), level(LEVELS - step - 1));
            let name = format!("decoder.up.{step}");
            // Each input pixel meets all nine taps.
            list.conv_at(&name, "tiles by phase 3x3 *2", below, above, 9.0, below[1] * below[2]);
        }
        list.conv("decoder.out", "lanes summed 7x7", level(0), [3, sizes.height, sizes.width], 49.0);
        list.0
    }

    fn fourier_steps(&self, list: &mut Steps, name: &str) {
        let parts = latent_parts(&self.network.config);
        let (local, global, reduced) = (parts[0], parts[1], parts[1] / 2);
        let [rows, columns] = [self.sizes.rows(LEVELS), self.sizes.columns(LEVELS)];
        let map = |channels: usize| [channels, rows, columns];
        let spectrum = [2 * reduced, rows, frequencies(columns)];
        // Five operations for each value and level of halving, the usual count for a fast transform.
        let pixels = (rows * columns) as f64;
        let transform = 2.5 * reduced as f64 * pixels * pixels.log2();
        let moved = map(reduced).iter().product::<usize>() + spectrum.iter().product::<usize>();
        list.conv(&format!("{name}.reduce"), "tiles 1x1", map(global), map(reduced), 1.0);
        list.add(&format!("{name}.forward"), "fourier", spectrum, transform, moved);
        list.conv(&format!("{name}.mix"), "tiles 1x1", spectrum, spectrum, 1.0);
        list.add(&format!("{name}.inverse"), "fourier", map(reduced), transform, moved);
        list.conv(&format!("{name}.expand"), "tiles 1x1", map(reduced), map(global), 1.0);
        let weights = 9 * (local * local + 2 * local * global);
        let operations = 2.0 * weights as f64 * pixels;
        let moved = weights + 2 * map(local + global).iter().product::<usize>();
        list.add(&format!("{name}.convolve"), "winograd 4x4", map(local + global), operations, moved);
    }

    fn regular_steps(&self, list: &mut Steps, name: &str) {
        let map =
            [latent_parts(&self.network.config)[0], self.sizes.rows(LEVELS), self.sizes.columns(LEVELS)];
        list.conv(&format!("{name}.convolve"), "winograd 4x4", map, map, 9.0);
    }
}

struct Steps(Vec<Step>);

impl Steps {
    fn add(&mut self, name: &str, kernel: &'static str, shape: [usize; 3], operations: f64, numbers: usize) {
        let bytes = (numbers * size_of::<f32>()) as f64;
        self.0.push(Step { name: name.to_owned(), kernel, shape, operations, bytes });
    }

    fn conv(&mut self, name: &str, kernel: &'static str, from: [usize; 3], to: [usize; 3], taps: f64) {
        self.conv_at(name, kernel, from, to, taps, to[1] * to[2]);
    }

    fn conv_at(
        &mut self,
        name: &str,
        kernel: &'static str,
        from: [usize; 3],
        to: [usize; 3],
        taps: f64,
        pixels: usize,
    ) {
        let weights = taps * (from[0] * to[0]) as f64;
        let numbers = weights as usize + from.iter().product::<usize>() + to.iter().product::<usize>();
        self.add(name, kernel, to, 2.0 * weights * pixels as f64, numbers);
    }
}

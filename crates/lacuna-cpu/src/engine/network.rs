//! A network with its weights packed for the kernels: encoder, mask control, refiner and decoder.

use std::borrow::Cow;

use super::channels::Channels;
use super::colours::{COLOURS, Colours};
use super::conv::{Conv, Taps};
use super::map::Border;
use super::stem::{KERNEL, Stem};
use super::weights::{Affine, Kernels, Weights};
use super::winograd::{Blocks, Winograd};
use crate::Isa;
use crate::config::{Delta, Family, NetworkConfig};
use crate::error::Result;

/// Levels below the full resolution; each halves the sides.
pub(crate) const LEVELS: usize = 3;
/// Taps of the inner convolutions.
const TAPS: usize = 9;

/// A network ready to run.
#[derive(Debug)]
pub(crate) struct Network {
    /// Its shape.
    pub config: NetworkConfig,
    /// The instructions that it was packed for.
    pub isa: Isa,
    /// From the picture to level 0.
    pub stem: Stem,
    /// From each level to the next.
    pub down: [Conv; LEVELS],
    /// What the mask adds.
    pub control: Option<Control>,
    /// Refiner blocks.
    pub blocks: Vec<Refine>,
    /// From each level to the one above, coarsest first; a convolution for each phase of the output.
    pub up: [[Conv; 4]; LEVELS],
    /// From level 0 to colours.
    pub colours: Colours,
    /// Channels of the levels, full resolution first.
    pub levels: [Channels; LEVELS + 1],
}

/// The mask encoder, whose level 0 has two values for each channel, and its zero convolutions.
#[derive(Debug)]
pub(crate) struct Control {
    /// Level 0 of the mask encoder: lanes outside the hole and inside it.
    pub stem: [Vec<f32>; 2],
    /// From each level of the mask encoder to the next.
    pub down: [Conv; LEVELS],
    /// From each level of the mask encoder but 0 (which the stem adds) to what is added to the image encoder's.
    pub zero: [Conv; LEVELS],
    /// Channels of the levels of the mask encoder.
    pub levels: [Channels; LEVELS + 1],
}

/// A residual block of the refiner.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a few of them live in a network of megabytes")]
pub(crate) enum Refine {
    /// Two fast Fourier convolutions.
    Fourier([FourierHalf; 2]),
    /// Two plain convolutions.
    Regular([RegularHalf; 2]),
}

/// A fast Fourier convolution with its norms.
#[derive(Debug)]
pub(crate) struct FourierHalf {
    /// From the global channels to half as many.
    pub reduce: Conv,
    /// The 1x1 convolution of the spectrum.
    pub mix: Conv,
    /// From half of the global channels back to all.
    pub expand: Conv,
    /// The local convolutions.
    pub convolve: Winograd,
    /// Bias lanes of the sum.
    pub bias: Vec<f32>,
    /// Blocks of the local channels, which come first.
    pub local_blocks: usize,
    /// Blocks of half of the global channels.
    pub reduced_blocks: usize,
}

/// A convolution with its norm.
#[derive(Debug)]
pub(crate) struct RegularHalf {
    /// The convolution.
    pub convolve: Winograd,
    /// Bias lanes.
    pub bias: Vec<f32>,
}

/// Channels of the parts of a latent: local, and global in the Fourier family.
pub(crate) fn latent_parts(config: &NetworkConfig) -> Vec<usize> {
    let width = config.width;
    match config.family {
        Family::Fourier => vec![2 * width, 6 * width],
        Family::Regular => vec![8 * width],
    }
}

impl Network {
    /// Packs the weights that `source` gives by name.
    ///
    /// # Errors
    /// If a tensor is missing or has another size.
    pub fn compile<'w>(
        config: &NetworkConfig,
        isa: Isa,
        source: impl Fn(&str) -> Option<Cow<'w, [f32]>>,
    ) -> Result<Self> {
        Compiler { isa, weights: Weights::new(config, source) }.network()
    }

    /// Bytes of packed weights.
    pub fn bytes(&self) -> usize {
        let control = self.control.as_ref().map(|control| control.down.iter().chain(&control.zero));
        let blocks = self.blocks.iter().map(|block| match block {
            Refine::Fourier(halves) => halves
                .iter()
                .map(|half| {
                    half.reduce.bytes() + half.mix.bytes() + half.expand.bytes() + half.convolve.bytes()
                })
                .sum::<usize>(),
            Refine::Regular(halves) => halves.iter().map(|half| half.convolve.bytes()).sum(),
        });
        let convs = self.down.iter().chain(self.up.iter().flatten()).chain(control.into_iter().flatten());
        self.stem.bytes()
            + self.colours.bytes()
            + convs.map(Conv::bytes).sum::<usize>()
            + blocks.sum::<usize>()
    }
}

struct Compiler<'w, F: Fn(&str) -> Option<Cow<'w, [f32]>>> {
    isa: Isa,
    weights: Weights<'w, F>,
}

impl<'w, F: Fn(&str) -> Option<Cow<'w, [f32]>>> Compiler<'w, F> {
    fn network(&self) -> Result<Network> {
        let config = &self.weights.config;
        let level = |level: usize| -> Channels {
            if level == LEVELS {
                Channels::parts(&latent_parts(config))
            } else {
                Channels::parts(&[config.width << level])
            }
        };
        let levels: [Channels; LEVELS + 1] = std::array::from_fn(level);
        let control = config.control.then(|| self.control(&levels)).transpose()?;
        let (control, added) = control.unzip();
        Ok(Network {
            stem: self.stem(&levels[0], added)?,
            down: try_array(|level| self.down(level, &levels))?,
            control,
            blocks: (0..config.blocks)
                .map(|block| self.refine(block, &levels[LEVELS]))
                .collect::<Result<_>>()?,
            up: try_array(|step| self.up(step, &levels))?,
            colours: self.colours(&levels[0])?,
            levels,
            config: config.clone(),
            isa: self.isa,
        })
    }

    fn stem(&self, outputs: &Channels, added: Option<[Vec<f32>; 2]>) -> Result<Stem> {
        let NetworkConfig { family, channels_in, width, .. } = self.weights.config;
        let (name, norm) = match family {
            Family::Fourier => {
                ("encoder.stem.ffc.local_to_local", self.weights.norm("encoder.stem.norm_local", width)?)
            }
            Family::Regular => {
                let conv = "encoder.stem.conv";
                (conv, self.weights.norm_after_bias("encoder.stem.norm", conv, width)?)
            }
        };
        let kernels = self.weights.kernels(name, width, channels_in, KERNEL * KERNEL)?;
        let bias = outputs.spread(|channel| norm.offset[channel]);
        Ok(Stem::new(self.isa, (channels_in, outputs), bias, added, |output, input, tap| {
            norm.scale[output] * kernels.at(output, input, tap)
        }))
    }

    fn down(&self, level: usize, levels: &[Channels; LEVELS + 1]) -> Result<Conv> {
        let (inputs, outputs) = (&levels[level], &levels[level + 1]);
        let (channels_in, total) = (inputs.total(), outputs.total());
        let name = format!("encoder.down.{level}");
        match self.weights.config.family {
            Family::Regular => {
                let conv = format!("{name}.conv");
                let norm = self.weights.norm_after_bias(&format!("{name}.norm"), &conv, total)?;
                let kernels = self.weights.kernels(&conv, total, channels_in, TAPS)?;
                let taps = Taps::square(3, 2, Border::Zero);
                Ok(self.normed(inputs, outputs, taps, &norm, |output, input, tap| {
                    kernels.at(output, input, tap)
                }))
            }
            Family::Fourier => {
                let last = level + 1 == LEVELS;
                let local = if last { total / 4 } else { total };
                let mut norm = self.weights.norm(&format!("{name}.norm_local"), local)?;
                let to_local =
                    self.weights.kernels(&format!("{name}.ffc.local_to_local"), local, channels_in, TAPS)?;
                let to_global = if last {
                    let global = self.weights.norm(&format!("{name}.norm_global"), total - local)?;
                    norm.scale.extend(global.scale);
                    norm.offset.extend(global.offset);
                    let path = format!("{name}.ffc.local_to_global");
                    Some(self.weights.kernels(&path, total - local, channels_in, TAPS)?)
                } else {
                    None
                };
                let taps = Taps::square(3, 2, Border::Reflect);
                Ok(self.normed(inputs, outputs, taps, &norm, |output, input, tap| match &to_global {
                    Some(kernels) if output >= local => kernels.at(output - local, input, tap),
                    _ => to_local.at(output, input, tap),
                }))
            }
        }
    }

    /// A convolution with norm and ReLU.
    fn normed(
        &self,
        inputs: &Channels,
        outputs: &Channels,
        taps: Taps,
        norm: &Affine,
        kernel: impl Fn(usize, usize, usize) -> f32 + Sync,
    ) -> Conv {
        let bias = outputs.spread(|channel| norm.offset[channel]);
        Conv::new(self.isa, (inputs.clone(), outputs), taps, Some(bias), |output, input, tap| {
            norm.scale[output] * kernel(output, input, tap)
        })
    }

    /// A 1x1 convolution alone.
    fn pointwise(
        &self,
        inputs: &Channels,
        outputs: &Channels,
        kernel: impl Fn(usize, usize) -> f32 + Sync,
    ) -> Conv {
        let taps = Taps::square(1, 1, Border::Zero);
        Conv::new(self.isa, (inputs.clone(), outputs), taps, None, |output, input, _| kernel(output, input))
    }

    /// Mask control, and what its first level adds outside the hole and inside it.
    fn control(&self, levels: &[Channels; LEVELS + 1]) -> Result<(Control, [Vec<f32>; 2])> {
        let width = self.weights.config.width;
        let masks: [Channels; LEVELS + 1] = std::array::from_fn(|level| Channels::parts(&[width << level]));
        let encoder = |level: usize, inputs: usize, taps: usize| -> Result<(Affine, Kernels<'w>)> {
            let (name, channels) = (format!("control.encoder.{level}"), width << level);
            let conv = format!("{name}.conv");
            let norm = self.weights.norm_after_bias(&format!("{name}.norm"), &conv, channels)?;
            Ok((norm, self.weights.kernels(&conv, channels, inputs, taps)?))
        };
        let (norm, kernels) = encoder(0, 1, 1)?;
        let values = [0.0, 1.0].map(|mask: f32| -> Vec<f32> {
            let value = |channel: usize| {
                norm.scale[channel] * kernels.at(channel, 0, 0) * mask + norm.offset[channel]
            };
            (0..width).map(|channel| value(channel).max(0.0)).collect()
        });
        let zero = self.weights.kernels("control.zero.0", width, width, 1)?;
        let added = values.each_ref().map(|values| {
            levels[0].spread(|output| (0..width).map(|input| zero.at(output, input, 0) * values[input]).sum())
        });
        let control = Control {
            stem: values.each_ref().map(|values| masks[0].spread(|channel| values[channel])),
            down: try_array(|level| {
                let (norm, kernels) = encoder(level + 1, width << level, TAPS)?;
                let taps = Taps::square(3, 2, Border::Zero);
                Ok(self.normed(&masks[level], &masks[level + 1], taps, &norm, |output, input, tap| {
                    kernels.at(output, input, tap)
                }))
            })?,
            zero: try_array(|level| {
                let channels = width << (level + 1);
                let kernels =
                    self.weights.kernels(&format!("control.zero.{}", level + 1), channels, channels, 1)?;
                let (inputs, outputs) = (&masks[level + 1], &levels[level + 1]);
                Ok(self.pointwise(inputs, outputs, |output, input| kernels.at(output, input, 0)))
            })?,
            levels: masks,
        };
        Ok((control, added))
    }

    fn refine(&self, block: usize, latent: &Channels) -> Result<Refine> {
        let name = |half: &str| format!("refiner.blocks.{block}.{half}");
        Ok(match self.weights.config.family {
            Family::Fourier => Refine::Fourier([
                self.fourier_half(&name("first"), latent)?,
                self.fourier_half(&name("second"), latent)?,
            ]),
            Family::Regular => Refine::Regular([
                self.regular_half(&name("first"), latent)?,
                self.regular_half(&name("second"), latent)?,
            ]),
        })
    }

    fn fourier_half(&self, name: &str, latent: &Channels) -> Result<FourierHalf> {
        let parts = latent_parts(&self.weights.config);
        let [local, global] = parts[..] else { unreachable!("a local and a global part") };
        let half = global / 2;
        let weights = &self.weights;
        let (norm_local, norm_global) = (
            weights.norm(&format!("{name}.norm_local"), local)?,
            weights.norm(&format!("{name}.norm_global"), global)?,
        );
        let kernels =
            |path: &str, outer, inner| weights.kernels(&format!("{name}.ffc.{path}"), outer, inner, TAPS);
        let local_to_local = kernels("local_to_local", local, local)?;
        let local_to_global = kernels("local_to_global", global, local)?;
        let global_to_local = kernels("global_to_local", local, global)?;
        let local_blocks = Channels::parts(&[local]).blocks();
        let blocks = vec![
            Blocks { inputs: 0..latent.blocks(), outputs: 0..local_blocks },
            Blocks { inputs: 0..local_blocks, outputs: local_blocks..latent.blocks() },
        ];
        let scale = |output: usize| {
            if output < local { norm_local.scale[output] } else { norm_global.scale[output - local] }
        };
        let convolve =
            Winograd::new(self.isa, (latent, latent), Border::Reflect, blocks, |output, input, tap| {
                let kernel = match (output < local, input < local) {
                    (true, true) => local_to_local.at(output, input, tap),
                    (true, false) => global_to_local.at(output, input - local, tap),
                    (false, _) => local_to_global.at(output - local, input, tap),
                };
                scale(output) * kernel
            });
        let bias = latent.spread(|channel| {
            if channel < local { norm_local.offset[channel] } else { norm_global.offset[channel - local] }
        });

        let spectral = format!("{name}.ffc.global_to_global");
        let (globals, halves) = (Channels::parts(&[global]), Channels::parts(&[half]));
        let spectrum = Channels::spectrum(half);
        let pointwise = Taps::square(1, 1, Border::Zero);
        let reduce = weights.kernels(&format!("{spectral}.reduce"), half, global, 1)?;
        let reduce_norm = weights.norm(&format!("{spectral}.reduce_norm"), half)?;
        let mix = weights.kernels(&format!("{spectral}.fourier.conv"), 2 * half, 2 * half, 1)?;
        let mix_norm = weights.norm(&format!("{spectral}.fourier.norm"), 2 * half)?;
        let expand = weights.kernels(&format!("{spectral}.expand"), global, half, 1)?;
        Ok(FourierHalf {
            reduce: self.normed(&globals, &halves, pointwise.clone(), &reduce_norm, |output, input, _| {
                reduce.at(output, input, 0)
            }),
            mix: self.normed(&spectrum, &spectrum, pointwise, &mix_norm, |output, input, _| {
                mix.at(output, input, 0)
            }),
            expand: self.pointwise(&halves, &globals, |output, input| {
                norm_global.scale[output] * expand.at(output, input, 0)
            }),
            convolve,
            bias,
            local_blocks,
            reduced_blocks: halves.blocks(),
        })
    }

    fn regular_half(&self, name: &str, latent: &Channels) -> Result<RegularHalf> {
        let (conv, channels) = (format!("{name}.conv"), latent.total());
        let norm = self.weights.norm_after_bias(&format!("{name}.norm"), &conv, channels)?;
        let kernels = self.weights.kernels(&conv, channels, channels, TAPS)?;
        let blocks = vec![Blocks { inputs: 0..latent.blocks(), outputs: 0..latent.blocks() }];
        let convolve =
            Winograd::new(self.isa, (latent, latent), Border::Reflect, blocks, |output, input, tap| {
                norm.scale[output] * kernels.at(output, input, tap)
            });
        Ok(RegularHalf { convolve, bias: latent.spread(|channel| norm.offset[channel]) })
    }

    /// A transposed convolution of kernel 3, stride 2, padding 1 and output padding 1, as one convolution for each
    /// phase of the output: pixel `2 y` sees the middle row of the kernel at `y`, pixel `2 y + 1` the last row at `y` and
    /// the first at `y + 1`.
    fn up(&self, step: usize, levels: &[Channels; LEVELS + 1]) -> Result<[Conv; 4]> {
        let (inputs, outputs) = (&levels[LEVELS - step], &levels[LEVELS - step - 1]);
        let (channels_in, channels_out) = (inputs.total(), outputs.total());
        let name = format!("decoder.up.{step}");
        let conv = format!("{name}.conv");
        let norm = self.weights.norm_after_bias(&format!("{name}.norm"), &conv, channels_out)?;
        let kernels = self.weights.kernels(&conv, channels_in, channels_out, TAPS)?;
        /// Positions in the input and rows (or columns) of the kernel.
        const ALONG: [&[(isize, usize)]; 2] = [&[(0, 1)], &[(0, 2), (1, 0)]];
        Ok(std::array::from_fn(|phase| {
            let pairs: Vec<((isize, isize), usize)> = ALONG[phase / 2]
                .iter()
                .flat_map(|&(y, row)| {
                    ALONG[phase % 2].iter().map(move |&(x, column)| ((y, x), 3 * row + column))
                })
                .collect();
            let places = pairs.iter().map(|&(place, _)| place).collect();
            let taps = Taps { places, stride: 1, border: Border::Zero };
            self.normed(inputs, outputs, taps, &norm, |output, input, tap| {
                kernels.at(input, output, pairs[tap].1)
            })
        }))
    }

    fn colours(&self, inputs: &Channels) -> Result<Colours> {
        let kernels = self.weights.kernels("decoder.out", COLOURS, inputs.total(), KERNEL * KERNEL)?;
        let bias = self.weights.bias("decoder.out", COLOURS)?;
        let bias = [bias[0], bias[1], bias[2]];
        Ok(Colours::new(self.isa, inputs, bias, |colour, input, tap| kernels.at(colour, input, tap)))
    }
}

/// [`std::array::from_fn`] for what can fail.
fn try_array<T, const N: usize>(make: impl FnMut(usize) -> Result<T>) -> Result<[T; N]> {
    let made: Vec<T> = (0..N).map(make).collect::<Result<_>>()?;
    Ok(made.try_into().unwrap_or_else(|_| unreachable!("as many as asked for")))
}

impl Network {
    /// Whether the refiner's output is added to its input once more.
    pub fn adds_latent(&self) -> bool {
        self.config.delta == Delta::Literal
    }

    /// Whether the last block of the Fourier family may take away.
    pub fn is_signed(&self) -> bool {
        self.config.delta == Delta::Signed
    }
}

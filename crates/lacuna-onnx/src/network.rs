//! The nodes of a network's layers.

use lacuna::checkpoint::Checkpoint;
use lacuna_network::{Activation, Border, FastFourier, Form, Layer, Operation, Pieces, Spectral, Split};

use crate::builder::{Builder, Setting, Value};
use crate::folded::{Affine, Folded, Source};
use crate::fourier::{Fourier, split};
use crate::frame::Frame;

/// A feature map in a local and a global part.
#[derive(Clone)]
struct Maps {
    local: Value,
    global: Option<Value>,
}

/// Adds the nodes from the masked image to the prediction `[1, 3, height, width]`, both padded.
pub fn predict(builder: &mut Builder, checkpoint: &Checkpoint, frame: &Frame) -> Value {
    let config = checkpoint.config();
    let layers = config.layers();
    let fourier = layers
        .iter()
        .any(|layer| layer.form.operation == Operation::FastFourier)
        .then(|| Fourier::new(builder, &frame.latent_height, &frame.latent_width));
    let mut network = Network { builder, source: Source(checkpoint), fourier };

    let image = if config.shape().sees_mask() {
        network.builder.concat(&[&frame.masked, &frame.hole], 1)
    } else {
        frame.masked.clone()
    };
    let mut maps = Maps::local(image);
    let mut mask = Maps::local(frame.hole.clone());
    for (level, layer) in layers.encoder.iter().enumerate() {
        maps = network.layer(layer, &maps);
        if let Some(control) = &layers.control {
            mask = network.layer(&control.encoder[level], &mask);
            let added = network.layer(&control.zero[level], &mask).local;
            let added = network.parts(added, layer.outputs);
            maps = network.sum(&maps, &added);
        }
    }
    let latent = maps.clone();
    for [first, second] in &layers.refiner {
        let inner = network.layer(first, &maps);
        let change = network.layer(second, &inner);
        maps = network.sum(&maps, &change);
    }
    if layers.adds_latent {
        maps = network.sum(&maps, &latent);
    }
    for layer in layers.decoder.iter().chain([&layers.head]) {
        maps = network.layer(layer, &maps);
    }
    maps.local
}

impl Maps {
    fn local(local: Value) -> Self {
        Self { local, global: None }
    }
}

struct Network<'a> {
    builder: &'a mut Builder,
    source: Source<'a>,
    fourier: Option<Fourier>,
}

impl Network<'_> {
    fn layer(&mut self, layer: &Layer, x: &Maps) -> Maps {
        let form = &layer.form;
        match layer.pieces() {
            Pieces::Plain(plain) => {
                let folded = self.source.folded(&plain.kernel, plain.bias.as_ref(), plain.norm.as_ref());
                let x = self.joined(x);
                let x = self.bordered(&x, form);
                let y = self.convolution(&layer.path, &x, &folded, form);
                Maps::local(self.activated(y, form.activation))
            }
            Pieces::FastFourier(pieces) => self.fast_fourier(layer, &pieces, x),
            Pieces::ChannelWise(_) => unreachable!("`export` has refused it"),
        }
    }

    fn fast_fourier(&mut self, layer: &Layer, pieces: &FastFourier, x: &Maps) -> Maps {
        let form = &layer.form;
        let local_input = self.bordered(&x.local, form);
        let global_input = x.global.as_ref().map(|global| self.bordered(global, form));

        let Affine { scale, offset } = self.source.norm(&pieces.norm_local);
        let kernel = Folded { offset: to_f32(&offset), ..self.source.scaled(&pieces.local_to_local, &scale) };
        let mut local = self.convolution(&layer.path, &local_input, &kernel, form);
        if let (Some(kernel), Some(input)) = (&pieces.global_to_local, &global_input) {
            let kernel = self.source.scaled(kernel, &scale);
            let from_global = self.convolution(&layer.path, input, &kernel, form);
            local = self.builder.node("Add", &[&local, &from_global], &[]);
        }

        let global = pieces.norm_global.as_ref().map(|norm| {
            let Affine { scale, offset } = self.source.norm(norm);
            let mut summands = Vec::new();
            if let Some(kernel) = &pieces.local_to_global {
                let kernel = self.source.scaled(kernel, &scale);
                summands.push(self.convolution(&layer.path, &local_input, &kernel, form));
            }
            if let (Some(path), Some(global)) = (&pieces.spectral, &x.global) {
                summands.push(self.spectral(&layer.path, path, global, &scale));
            }
            let offset = self.builder.floats("offset", &[1, offset.len(), 1, 1], &to_f32(&offset));
            summands.into_iter().fold(offset, |sum, summand| self.builder.node("Add", &[&summand, &sum], &[]))
        });

        let mut activated = |y: Value| self.activated(y, form.activation);
        Maps { local: activated(local), global: global.map(activated) }
    }

    /// `expand(y + irfft2(relu(norm(mix(rfft2(y))))))` with `y = relu(norm(reduce(x)))`; `scale` is that of the norm behind it.
    fn spectral(&mut self, name: &str, path: &Spectral, x: &Value, scale: &[f64]) -> Value {
        let pointwise = Form::POINTWISE;
        let channels = path.reduce.outputs;
        let reduce = self.source.folded(&path.reduce, None, Some(&path.reduce_norm));
        let reduced = self.convolution(name, x, &reduce, &pointwise);
        let reduced = self.activated(reduced, Activation::Relu);

        let fourier = self.fourier.take().expect("a network with a spectral path has the matrices");
        let spectrum = fourier.forward(self.builder, &reduced, channels);
        let mix = parts_together(self.source.folded(&path.mix, None, Some(&path.mix_norm)));
        let mixed = self.convolution(name, &spectrum, &mix, &pointwise);
        let mixed = self.activated(mixed, Activation::Relu);
        let back = fourier.inverse(self.builder, &mixed, channels);
        self.fourier = Some(fourier);

        let sum = self.builder.node("Add", &[&reduced, &back], &[]);
        let expand = self.source.scaled(&path.expand, scale);
        self.convolution(name, &sum, &expand, &pointwise)
    }

    /// The input with its reflected border; a border of zeros belongs to the convolution.
    fn bordered(&mut self, x: &Value, form: &Form) -> Value {
        let border = (form.kernel / 2) as i64;
        if form.border == Border::Zero || border == 0 {
            return x.clone();
        }
        let widths = self.builder.integers(&[0, 0, border, border, 0, 0, border, border]);
        self.builder.node("Pad", &[x, &widths], &[Setting::Text("mode", "reflect")])
    }

    fn convolution(&mut self, name: &str, x: &Value, kernel: &Folded, form: &Form) -> Value {
        let weights = self.builder.floats(&format!("{name}.weight"), &kernel.shape, &kernel.values);
        let offset = (kernel.offset.iter().any(|&offset| offset != 0.0))
            .then(|| self.builder.floats(&format!("{name}.offset"), &[kernel.offset.len()], &kernel.offset));
        let inputs: Vec<&Value> = [x, &weights].into_iter().chain(&offset).collect();
        let (size, stride) = (form.kernel as i64, form.stride as i64);
        let border = if form.border == Border::Zero { size / 2 } else { 0 };
        let settings = [
            Setting::Ints("kernel_shape", &[size; 2]),
            Setting::Ints("strides", &[stride; 2]),
            Setting::Ints("pads", &[border; 4]),
        ];
        if form.operation == Operation::Transposed {
            let more = [stride - 1; 2];
            let settings: Vec<Setting<'_>> =
                settings.into_iter().chain([Setting::Ints("output_padding", &more)]).collect();
            return self.builder.node("ConvTranspose", &inputs, &settings);
        }
        self.builder.node("Conv", &inputs, &settings)
    }

    fn activated(&mut self, y: Value, activation: Activation) -> Value {
        match activation {
            Activation::Identity => y,
            Activation::Relu => self.builder.node("Relu", &[&y], &[]),
            Activation::Sigmoid => self.builder.node("Sigmoid", &[&y], &[]),
            Activation::LeakyRelu | Activation::Tanh => unreachable!("`export` has refused it"),
        }
    }

    fn joined(&mut self, maps: &Maps) -> Value {
        let parts: Vec<&Value> = [&maps.local].into_iter().chain(&maps.global).collect();
        self.builder.concat(&parts, 1)
    }

    fn parts(&mut self, x: Value, channels: Split) -> Maps {
        if channels.global == 0 {
            return Maps::local(x);
        }
        let [local, global] = split(self.builder, &x, [channels.local, channels.global]);
        Maps { local, global: Some(global) }
    }

    fn sum(&mut self, one: &Maps, other: &Maps) -> Maps {
        let mut add = |one: &Value, other: &Value| self.builder.node("Add", &[one, other], &[]);
        let local = add(&one.local, &other.local);
        let global = one.global.as_ref().zip(other.global.as_ref());
        Maps { local, global: global.map(|(one, other)| add(one, other)) }
    }
}

fn to_f32(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&value| value as f32).collect()
}

/// A kernel whose channels alternate between real and imaginary parts, for channels in which all real parts come first.
fn parts_together(kernel: Folded) -> Folded {
    let channels = kernel.offset.len();
    let before = |index: usize| index % (channels / 2) * 2 + index / (channels / 2);
    let order = || (0..channels).map(before);
    let values = order().flat_map(|output| order().map(move |input| output * channels + input));
    let values = values.map(|index| kernel.values[index]).collect();
    Folded { values, offset: order().map(|output| kernel.offset[output]).collect(), shape: kernel.shape }
}

//! Reading and writing networks' tensors by name.
//!
//! A tensor's name is the path of its field through the structs, such as
//! `refiner.blocks.0.first.ffc.local_to_local.weight`. The kind of a layer (an enum in the code) does not appear in
//! names, nor does the field `modulation`, which only groups the parts of a modulation.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};
use lacuna::checkpoint::{Checkpoint, is_parameter};
use lacuna_network::Architecture;

use crate::error::{Error, LISTED_PROBLEMS, Result};
use crate::net::{Generator, Network};

/// A field whose fields are named as if they were those of the struct around it.
const HIDDEN: &str = "modulation";

/// The shape and values of one tensor.
pub use lacuna::checkpoint::FloatTensor as Weight;

/// One tensor and its name.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedWeight {
    /// The path of its field.
    pub name: String,
    /// Its values.
    pub weight: Weight,
}

/// The shape and name of one tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedShape {
    /// The path of its field.
    pub name: String,
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
}

/// Whether `name` is that of a BatchNorm statistic: a buffer, not a trained parameter.
pub fn is_statistic(name: &str) -> bool {
    !is_parameter(name)
}

/// Names and shapes of all tensors of the network with this configuration. Computes nothing.
///
/// # Errors
/// [`Error::Config`] if there is no such network.
pub fn named_shapes(config: &Architecture) -> Result<Vec<NamedShape>> {
    Ok(shapes(&Network::unset(config, &Device::flex())?))
}

/// Names and shapes of all tensors of a module. Initialises nothing.
pub fn shapes<M: Module>(module: &M) -> Vec<NamedShape> {
    let mut visitor = ShapeVisitor { path: Path::default(), found: Vec::new() };
    module.visit(&mut visitor);
    visitor.found
}

/// All tensors of a module, for saving.
///
/// # Errors
/// [`Error::Execution`] if a tensor cannot be read from its device.
pub fn read<M: Module>(module: &M) -> Result<Vec<NamedWeight>> {
    read_where(module, |_| true)
}

/// Those tensors of a module whose names `wants` accepts.
///
/// # Errors
/// As [`read`].
pub fn read_where<M: Module>(module: &M, wants: impl Fn(&str) -> bool) -> Result<Vec<NamedWeight>> {
    let mut visitor = Reader { path: Path::default(), wants, found: Vec::new() };
    module.visit(&mut visitor);
    visitor.found.into_iter().collect()
}

/// Replaces the tensors of a module by those that `source` returns by name. The module keeps its device and what is
/// frozen.
///
/// # Errors
/// [`Error::Weights`] if `source` lacks a tensor or has one of another shape.
pub fn load<M: Module>(module: M, source: impl FnMut(&str) -> Option<Weight>) -> Result<M> {
    Loader::load(module, source, Missing::IsWrong)
}

/// Replaces those tensors of a module that `source` returns by name; the others stay.
///
/// # Errors
/// [`Error::Weights`] if `source` has a tensor of another shape.
pub fn replace<M: Module>(module: M, source: impl FnMut(&str) -> Option<Weight>) -> Result<M> {
    Loader::load(module, source, Missing::Stays)
}

/// Makes only those parameters of a module trainable for whose names `learns` is true. Norms keep their mode.
pub fn set_learning<M: Module>(module: M, learns: impl Fn(&str) -> bool) -> M {
    module.map(&mut Learning { path: Path::default(), learns })
}

impl Generator {
    /// The network with this configuration, with the tensors that `source` returns by name.
    ///
    /// # Errors
    /// [`Error::Config`] if there is no such network, [`Error::Weights`] if `source` lacks a tensor or has one
    /// of another shape.
    pub fn load(
        config: &Architecture,
        source: impl FnMut(&str) -> Option<Weight>,
        device: &Device,
    ) -> Result<Self> {
        load(Self::unset(config, device)?, source)
    }

    /// The network of a weights file.
    ///
    /// # Errors
    /// As [`Generator::load`]; an opened checkpoint has all tensors.
    pub fn from_checkpoint(checkpoint: &Checkpoint, device: &Device) -> Result<Self> {
        let source = |name: &str| checkpoint.tensor(name).map(|(shape, values)| Weight { shape, values });
        Self::load(checkpoint.config(), source, device)
    }

    /// All tensors, for saving.
    ///
    /// # Errors
    /// [`Error::Execution`] if a tensor cannot be read from its device.
    pub fn weights(&self) -> Result<Vec<NamedWeight>> {
        read(self)
    }
}

/// The position of a visitor or mapper in the module tree. Only this type creates names.
#[derive(Debug, Default)]
pub struct Path(Vec<Option<String>>);

impl Path {
    /// Call when the visitor enters a module.
    pub fn enter(&mut self, name: &str, container: &str) {
        let is_hidden = container.starts_with("Enum:") || name == HIDDEN;
        self.0.push((!is_hidden).then(|| name.to_owned()));
    }

    /// Call when it leaves the module again.
    pub fn exit(&mut self) {
        self.0.pop();
    }

    /// The name of the current tensor.
    pub fn name(&self) -> String {
        self.0.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(".")
    }
}

struct ShapeVisitor {
    path: Path,
    found: Vec<NamedShape>,
}

impl ModuleVisitor for ShapeVisitor {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.found.push(NamedShape { name: self.path.name(), shape: param.lazy_shape().to_vec() });
    }
}

struct Reader<Wants> {
    path: Path,
    wants: Wants,
    found: Vec<Result<NamedWeight>>,
}

impl<Wants: Fn(&str) -> bool> ModuleVisitor for Reader<Wants> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let name = self.path.name();
        if (self.wants)(&name) {
            self.found.push(read_tensor(param.val()).map(|weight| NamedWeight { name, weight }));
        }
    }
}

/// The values of a tensor.
///
/// # Errors
/// [`Error::Execution`] if the tensor cannot be read from its device.
pub fn read_tensor<const D: usize>(tensor: Tensor<D>) -> Result<Weight> {
    let shape = tensor.dims().to_vec();
    let data = tensor.try_into_data_as::<f32>().map_err(|error| Error::Execution(error.to_string()))?;
    let values = data.try_into_vec::<f32>().map_err(|error| Error::Execution(format!("{error:?}")))?;
    Ok(Weight { shape, values })
}

/// What happens to a tensor that a source lacks.
#[derive(Clone, Copy, PartialEq)]
enum Missing {
    IsWrong,
    Stays,
}

struct Loader<Source> {
    path: Path,
    source: Source,
    missing: Missing,
    listed: Vec<String>,
    count: usize,
}

impl<Source: FnMut(&str) -> Option<Weight>> Loader<Source> {
    fn load<M: Module>(module: M, source: Source, missing: Missing) -> Result<M> {
        let mut mapper = Self { path: Path::default(), source, missing, listed: Vec::new(), count: 0 };
        let module = module.map(&mut mapper);
        match mapper.count {
            0 => Ok(module),
            count => Err(Error::Weights { count, listed: mapper.listed }),
        }
    }

    fn problem(&mut self, name: &str, expected: &[usize], found: Option<&Weight>) {
        self.count += 1;
        if self.listed.len() < LISTED_PROBLEMS {
            self.listed.push(match found {
                Some(found) => format!("{name}: expected {expected:?}, found {:?}", found.shape),
                None => format!("{name}: expected {expected:?}, found nothing"),
            });
        }
    }
}

impl<Source: FnMut(&str) -> Option<Weight>> ModuleMapper for Loader<Source> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.path.name();
        let expected = param.lazy_shape().to_vec();
        match (self.source)(&name) {
            Some(Weight { shape, values })
                if shape == expected && values.len() == expected.iter().product::<usize>() =>
            {
                let tensor = Tensor::from_data(TensorData::new(values, shape), &param.lazy_device());
                let id = param.id;
                param.transform_for_load(tensor, id)
            }
            None if self.missing == Missing::Stays => param,
            found => {
                self.problem(&name, &expected, found.as_ref());
                param
            }
        }
    }
}

struct Learning<Learns> {
    path: Path,
    learns: Learns,
}

impl<Learns: Fn(&str) -> bool> ModuleMapper for Learning<Learns> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let learns = (self.learns)(&self.path.name());
        param.set_require_grad(learns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{rng, tensor, values};
    use lacuna_network::{Delta, Family, Shape};
    use std::collections::HashMap;

    fn config(family: Family, channels_in: usize, width: usize, blocks: usize) -> Architecture {
        family.network(Shape { channels_in, width, blocks, control: false, delta: Delta::None })
    }

    fn with_control(config: &Architecture) -> Architecture {
        config.with(|shape| shape.control = true)
    }

    struct Counts {
        tensors: usize,
        norms: usize,
        parameters: usize,
        statistics: usize,
    }

    fn counts(config: &Architecture, prefix: &str) -> Counts {
        let all = named_shapes(config).unwrap();
        let all: Vec<_> = all.iter().filter(|named| named.name.starts_with(prefix)).collect();
        let sum = |statistic: bool| {
            all.iter()
                .filter(|named| is_statistic(&named.name) == statistic)
                .map(|named| named.shape.iter().product::<usize>())
                .sum()
        };
        let norms = all.iter().filter(|named| named.name.ends_with("running_mean")).count();
        Counts { tensors: all.len(), norms, parameters: sum(false), statistics: sum(true) }
    }

    #[test]
    fn fourier_networks_have_the_published_sizes() {
        struct Case {
            width: usize,
            blocks: usize,
            channels_in: usize,
            parameters: usize,
            statistics: usize,
        }
        // Reference specification 1.7, which counts one `num_batches_tracked` for each BatchNorm as well.
        for Case { width, blocks, channels_in, parameters, statistics } in [
            Case { width: 64, blocks: 9, channels_in: 4, parameters: 27_048_835, statistics: 42_064 },
            Case { width: 64, blocks: 18, channels_in: 4, parameters: 50_975_875, statistics: 81_304 },
            Case { width: 64, blocks: 9, channels_in: 3, parameters: 27_045_699, statistics: 42_064 },
            Case { width: 8, blocks: 9, channels_in: 4, parameters: 429_683, statistics: 5_328 },
            Case { width: 8, blocks: 9, channels_in: 3, parameters: 429_291, statistics: 5_328 },
            Case { width: 16, blocks: 9, channels_in: 3, parameters: 1_701_843, statistics: 10_576 },
        ] {
            let counts = counts(&config(Family::Fourier, channels_in, width, blocks), "");
            let elements = counts.statistics + counts.norms;
            assert_eq!((counts.parameters, elements), (parameters, statistics), "width {width}");
        }
    }

    #[test]
    fn parts_have_the_published_sizes() {
        struct Case {
            config: Architecture,
            part: &'static str,
            parameters: usize,
        }
        let thesis = config(Family::Fourier, 3, 8, 9);
        let control = with_control(&thesis);
        let lama = config(Family::Fourier, 4, 64, 9);
        // Reference specification 1.7, 1.10 and 2.1.
        for Case { config, part, parameters } in [
            Case { config: thesis.clone(), part: "encoder.", parameters: 25_608 },
            Case { config: thesis.clone(), part: "refiner.", parameters: 378_144 },
            Case { config: thesis.clone(), part: "refiner.blocks.0.", parameters: 42_016 },
            Case { config: thesis, part: "decoder.", parameters: 25_539 },
            Case { config: config(Family::Fourier, 4, 8, 9), part: "encoder.", parameters: 26_000 },
            Case { config: lama.clone(), part: "encoder.", parameters: 1_562_752 },
            Case { config: lama.clone(), part: "refiner.blocks.8.", parameters: 2_658_560 },
            Case { config: lama, part: "decoder.", parameters: 1_559_043 },
            Case { config: control.clone(), part: "control.encoder.", parameters: 24_560 },
            Case { config: control.clone(), part: "control.zero.", parameters: 5_440 },
            Case { config: control, part: "", parameters: 429_291 + 30_000 },
            Case { config: config(Family::Regular, 4, 64, 9), part: "", parameters: 45_617_731 },
            Case { config: config(Family::Regular, 4, 64, 15), part: "", parameters: 73_947_715 },
        ] {
            assert_eq!(counts(&config, part).parameters, parameters, "{part} of {config:?}");
        }
    }

    #[test]
    fn published_files_have_as_many_tensors() {
        // Reference specification 1.7, again with `num_batches_tracked`.
        for (blocks, expected) in [(9, 521), (18, 989)] {
            let counts = counts(&config(Family::Fourier, 4, 64, blocks), "");
            assert_eq!(counts.tensors + counts.norms, expected);
        }
    }

    #[test]
    fn names_and_shapes_are_those_of_weight_files() {
        for family in Family::ALL {
            for control in [false, true] {
                let config = config(family, 3, 5, 2).with(|shape| shape.control = control);
                let mut expected = config.layers().tensors();
                let mut found: Vec<_> = named_shapes(&config)
                    .unwrap()
                    .into_iter()
                    .map(|named| (named.name, named.shape))
                    .collect();
                expected.sort();
                found.sort();
                assert_eq!(found, expected, "{config:?}");
            }
        }
    }

    #[test]
    fn names_are_those_of_the_file_format() {
        let names = |config: &Architecture| -> Vec<String> {
            named_shapes(config).unwrap().into_iter().map(|named| named.name).collect()
        };
        let control = with_control(&config(Family::Fourier, 3, 4, 1));
        let fourier = names(&control);
        let regular = names(&config(Family::Regular, 3, 4, 1));
        for (names, expected) in [
            (&fourier, "encoder.stem.ffc.local_to_local.weight"),
            (&fourier, "encoder.stem.norm_local.running_var"),
            (&fourier, "encoder.down.2.ffc.local_to_global.weight"),
            (&fourier, "encoder.down.2.norm_global.bias"),
            (&fourier, "control.encoder.3.conv.bias"),
            (&fourier, "control.encoder.0.norm.running_mean"),
            (&fourier, "control.zero.3.weight"),
            (&fourier, "refiner.blocks.0.first.ffc.global_to_local.weight"),
            (&fourier, "refiner.blocks.0.second.ffc.global_to_global.reduce.weight"),
            (&fourier, "refiner.blocks.0.second.ffc.global_to_global.reduce_norm.weight"),
            (&fourier, "refiner.blocks.0.first.ffc.global_to_global.fourier.conv.weight"),
            (&fourier, "refiner.blocks.0.first.ffc.global_to_global.fourier.norm.bias"),
            (&fourier, "refiner.blocks.0.first.ffc.global_to_global.expand.weight"),
            (&fourier, "decoder.up.2.conv.bias"),
            (&fourier, "decoder.up.0.norm.weight"),
            (&fourier, "decoder.out.bias"),
            (&regular, "encoder.stem.conv.bias"),
            (&regular, "encoder.down.2.norm.weight"),
            (&regular, "refiner.blocks.0.second.conv.bias"),
            (&regular, "refiner.blocks.0.first.norm.running_var"),
        ] {
            assert!(names.iter().any(|name| name == expected), "{expected} is not among {names:?}");
        }
    }

    #[test]
    fn what_was_read_loads_again() {
        for family in Family::ALL {
            let config = with_control(&config(family, 4, 2, 1));
            let device = Device::flex();
            let all = Generator::new(&config, rng(1), &device).unwrap().weights().unwrap();
            let by_name: HashMap<_, _> =
                all.iter().map(|named| (named.name.clone(), named.weight.clone())).collect();
            assert_eq!(by_name.len(), all.len(), "no name twice");
            let again = Generator::load(&config, |name| by_name.get(name).cloned(), &device).unwrap();
            assert_eq!(again.weights().unwrap(), all);
        }
    }

    #[test]
    fn loading_names_what_is_missing_and_what_has_another_shape() {
        let config = config(Family::Fourier, 3, 2, 1);
        let source = |name: &str| {
            (name == "decoder.out.bias").then(|| Weight { shape: vec![5], values: vec![0.0; 5] })
        };
        let error = Generator::load(&config, source, &Device::flex()).unwrap_err();
        let Error::Weights { count, listed } = &error else { panic!("{error}") };
        assert_eq!(*count, named_shapes(&config).unwrap().len());
        assert_eq!(listed.len(), LISTED_PROBLEMS);
        assert_eq!(listed[0], "encoder.stem.ffc.local_to_local.weight: expected [2, 3, 7, 7], found nothing");

        let all = Generator::new(&config, rng(1), &Device::flex()).unwrap().weights().unwrap();
        let but_one = |name: &str| {
            let mut weight = all.iter().find(|named| named.name == name)?.weight.clone();
            if name == "decoder.out.bias" {
                weight = Weight { shape: vec![5], values: vec![0.0; 5] };
            }
            Some(weight)
        };
        let error = Generator::load(&config, but_one, &Device::flex()).unwrap_err().to_string();
        assert!(error.ends_with("decoder.out.bias: expected [3], found [5]"), "{error}");
    }

    #[test]
    fn loaded_parameters_keep_what_is_frozen() {
        let config = config(Family::Fourier, 3, 2, 1);
        let mut generator = Generator::new(&config, rng(1), &Device::flex().autodiff()).unwrap();
        generator.encoder = generator.encoder.freeze();
        let all = generator.weights().unwrap();
        let generator = load(generator, |name| {
            all.iter().find(|named| named.name == name).map(|named| named.weight.clone())
        })
        .unwrap();
        let mut flags = HashMap::new();
        struct RequireGrad<'a>(Path, &'a mut HashMap<String, bool>);
        impl ModuleVisitor for RequireGrad<'_> {
            fn enter_module(&mut self, name: &str, container: &str) {
                self.0.enter(name, container);
            }
            fn exit_module(&mut self, _name: &str, _container: &str) {
                self.0.exit();
            }
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                self.1.insert(self.0.name(), param.is_require_grad());
            }
        }
        generator.visit(&mut RequireGrad(Path::default(), &mut flags));
        assert!(!flags["encoder.stem.ffc.local_to_local.weight"]);
        assert!(flags["decoder.out.weight"]);
        assert!(!flags["decoder.up.0.norm.running_mean"]);
    }

    #[test]
    fn a_tensor_is_read_row_by_row() {
        let read = read_tensor(tensor([2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).transpose()).unwrap();
        assert_eq!(read, Weight { shape: vec![3, 2], values: vec![1.0, 4.0, 2.0, 5.0, 3.0, 6.0] });
        assert_eq!(values(tensor([1], vec![7.0])), [7.0]);
    }
}

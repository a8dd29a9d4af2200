//! Weights files as torch writes them, generated without torch, of any size and with any damage, for tests of reading.

use std::fs::File;
use std::io::{BufWriter, Cursor, Write};
use std::path::Path;

use rand::{RngExt as _, SeedableRng as _};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// Writes pickles of protocol 2, as torch does. Values are appended in order; inside [`PickleWriter::dictionary`] keys
/// and values alternate.
#[derive(Debug)]
pub struct PickleWriter {
    bytes: Vec<u8>,
}

impl Default for PickleWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl PickleWriter {
    /// An empty pickle.
    pub fn new() -> Self {
        Self { bytes: vec![0x80, 2] }
    }

    /// Ends the pickle and returns its bytes.
    pub fn finish(&mut self) -> Vec<u8> {
        self.bytes.push(b'.');
        std::mem::take(&mut self.bytes)
    }

    /// Raw bytes, for opcodes that torch does not write.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend(bytes);
        self
    }

    /// Python's `None`.
    pub fn none(&mut self) -> &mut Self {
        self.raw(b"N")
    }

    /// Text.
    ///
    /// # Panics
    /// If it is 4 GiB or longer.
    pub fn text(&mut self, text: &str) -> &mut Self {
        let length = u32::try_from(text.len()).expect("short text");
        self.raw(b"X").raw(&length.to_le_bytes()).raw(text.as_bytes())
    }

    /// An integer.
    pub fn integer(&mut self, integer: i64) -> &mut Self {
        match i32::try_from(integer) {
            Ok(small) => self.raw(b"J").raw(&small.to_le_bytes()),
            Err(_) => self.raw(&[0x8a, 8]).raw(&integer.to_le_bytes()),
        }
    }

    /// A tuple of integers.
    pub fn integers(&mut self, integers: &[i64]) -> &mut Self {
        self.raw(b"(");
        for &integer in integers {
            self.integer(integer);
        }
        self.raw(b"t")
    }

    /// A class or function.
    pub fn name(&mut self, module: &str, name: &str) -> &mut Self {
        self.raw(format!("c{module}\n{name}\n").as_bytes())
    }

    /// A dictionary; `entries` writes keys and values.
    pub fn dictionary(&mut self, entries: impl FnOnce(&mut Self)) -> &mut Self {
        self.raw(b"}(");
        entries(self);
        self.raw(b"u")
    }

    /// A list; `values` writes the values.
    pub fn list(&mut self, values: impl FnOnce(&mut Self)) -> &mut Self {
        self.raw(b"](");
        values(self);
        self.raw(b"e")
    }

    /// An object of a class, as in TorchScript; `attributes` writes its attributes.
    ///
    /// # Panics
    /// If `class` has no module prefix.
    pub fn object(&mut self, class: &str, attributes: impl FnOnce(&mut Self)) -> &mut Self {
        let (module, name) = class.rsplit_once('.').expect("a class within a module");
        self.name(module, name).raw(b")\x81").dictionary(attributes).raw(b"b")
    }

    /// A tensor over `count` elements of the storage `key` of class `storage` (such as `FloatStorage`).
    pub fn tensor(
        &mut self,
        storage: &str,
        key: &str,
        count: i64,
        offset: i64,
        shape: &[i64],
        strides: &[i64],
    ) -> &mut Self {
        self.name("torch._utils", "_rebuild_tensor_v2").raw(b"((");
        self.text("storage").name("torch", storage).text(key).text("cpu").integer(count);
        self.raw(b"tQ").integer(offset).integers(shape).integers(strides);
        self.raw(b"\x89").name("collections", "OrderedDict").raw(b")R").raw(b"tR")
    }
}

/// A zip archive of `(name, bytes)` entries without compression.
///
/// # Panics
/// If the archive cannot be written, which does not happen in memory.
pub fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        archive.start_file(*name, stored()).expect("a new entry");
        archive.write_all(bytes).expect("room in memory");
    }
    archive.finish().expect("room in memory").into_inner()
}

/// Options of torch's entries: uncompressed, aligned to 64 bytes.
fn stored() -> SimpleFileOptions {
    SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored).with_alignment(64)
}

/// The size of a LaMa Fourier generator.
#[derive(Clone, Copy, Debug)]
pub struct Lama {
    /// Channels after the first convolution.
    pub width: i64,
    /// Residual blocks.
    pub blocks: i64,
    /// Input channels, 3 or 4.
    pub channels_in: i64,
}

impl Lama {
    /// The published big-lama: 50,975,875 parameters.
    pub const BIG: Self = Self { width: 64, blocks: 18, channels_in: 4 };

    /// Names, from LaMa's code, and shapes of all tensors of the state dictionary except the counters.
    pub fn tensors(self) -> Vec<(String, Vec<i64>)> {
        let n = self.width;
        let mut list = List(Vec::new());
        list.add("1.ffc.convl2l.weight", &[n, self.channels_in, 7, 7]);
        list.norm("1.bn_l", n);
        for (layer, channels) in [(2, n), (3, 2 * n)] {
            list.add(&format!("{layer}.ffc.convl2l.weight"), &[2 * channels, channels, 3, 3]);
            list.norm(&format!("{layer}.bn_l"), 2 * channels);
        }
        let (local, global, spectral) = (2 * n, 6 * n, 3 * n);
        list.add("4.ffc.convl2l.weight", &[local, 4 * n, 3, 3]);
        list.add("4.ffc.convl2g.weight", &[global, 4 * n, 3, 3]);
        list.norm("4.bn_l", local);
        list.norm("4.bn_g", global);
        for block in 0..self.blocks {
            for half in ["conv1", "conv2"] {
                let p = format!("{}.{half}", 5 + block);
                list.add(&format!("{p}.ffc.convl2l.weight"), &[local, local, 3, 3]);
                list.add(&format!("{p}.ffc.convl2g.weight"), &[global, local, 3, 3]);
                list.add(&format!("{p}.ffc.convg2l.weight"), &[local, global, 3, 3]);
                list.add(&format!("{p}.ffc.convg2g.conv1.0.weight"), &[spectral, global, 1, 1]);
                list.norm(&format!("{p}.ffc.convg2g.conv1.1"), spectral);
                list.add(
                    &format!("{p}.ffc.convg2g.fu.conv_layer.weight"),
                    &[2 * spectral, 2 * spectral, 1, 1],
                );
                list.norm(&format!("{p}.ffc.convg2g.fu.bn"), 2 * spectral);
                list.add(&format!("{p}.ffc.convg2g.conv2.weight"), &[global, spectral, 1, 1]);
                list.norm(&format!("{p}.bn_l"), local);
                list.norm(&format!("{p}.bn_g"), global);
            }
        }
        let after = 5 + self.blocks + 1;
        for (level, channels) in [(0, 8 * n), (1, 4 * n), (2, 2 * n)] {
            let layer = after + 3 * level;
            list.add(&format!("{layer}.weight"), &[channels, channels / 2, 3, 3]);
            list.add(&format!("{layer}.bias"), &[channels / 2]);
            list.norm(&(layer + 1).to_string(), channels / 2);
        }
        list.add(&format!("{}.weight", after + 10), &[3, n, 7, 7]);
        list.add(&format!("{}.bias", after + 10), &[3]);
        list.0
    }
}

struct List(Vec<(String, Vec<i64>)>);

impl List {
    fn add(&mut self, name: &str, shape: &[i64]) {
        self.0.push((name.to_owned(), shape.to_vec()));
    }

    fn norm(&mut self, name: &str, channels: i64) {
        for part in ["weight", "bias", "running_mean", "running_var"] {
            self.add(&format!("{name}.{part}"), &[channels]);
        }
    }
}

/// Ranges of random weights that keep activations of a deep network finite: convolutions as in PyTorch, norms near 1
/// and 0.
pub(crate) fn weight_range(name: &str, shape: &[i64]) -> std::ops::Range<f32> {
    match shape {
        [_, inputs @ ..] if !inputs.is_empty() => {
            let bound = 1.0 / (inputs.iter().product::<i64>() as f32).sqrt();
            -bound..bound
        }
        _ if name.ends_with("running_var") || name.ends_with("weight") => 0.9..1.1,
        _ => -0.1..0.1,
    }
}

/// Writes a Lightning checkpoint (`torch.save`, zip) of a LaMa generator with seeded random weights in `[0, 1)`, keys
/// under `generator.model.`, and the other contents of a training checkpoint.
///
/// # Errors
/// If the file cannot be written.
pub fn write_lightning_checkpoint(path: &Path, lama: Lama, seed: u64) -> std::io::Result<()> {
    let tensors = lama.tensors();
    let mut archive = ZipWriter::new(BufWriter::new(File::create(path)?));
    archive.start_file("archive/data.pkl", stored())?;
    archive.write_all(&lightning_pickle(&tensors))?;
    let mut random = rand_pcg::Pcg64Mcg::seed_from_u64(seed);
    for (index, (name, shape)) in tensors.iter().enumerate() {
        archive.start_file(format!("archive/data/{index}"), stored())?;
        let range = weight_range(name, shape);
        let values: Vec<f32> =
            (0..shape.iter().product::<i64>()).map(|_| random.random_range(range.clone())).collect();
        archive.write_all(bytemuck::cast_slice(&values))?;
    }
    archive.start_file(format!("archive/data/{}", tensors.len()), stored())?;
    archive.write_all(&1000u64.to_le_bytes())?;
    archive.start_file("archive/version", stored())?;
    archive.write_all(b"3\n")?;
    archive.finish()?.flush()
}

fn lightning_pickle(tensors: &[(String, Vec<i64>)]) -> Vec<u8> {
    let mut pickle = PickleWriter::new();
    pickle.dictionary(|pickle| {
        pickle.text("epoch").integer(39);
        pickle.text("hyper_parameters").object("omegaconf.dictconfig.DictConfig", |pickle| {
            pickle.text("_content").dictionary(|_| {});
        });
        pickle.text("state_dict").dictionary(|pickle| {
            for (index, (name, shape)) in tensors.iter().enumerate() {
                let strides: Vec<i64> =
                    (0..shape.len()).map(|axis| shape[axis + 1..].iter().product()).collect();
                pickle.text(&format!("generator.model.{name}"));
                pickle.tensor("FloatStorage", &index.to_string(), shape.iter().product(), 0, shape, &strides);
            }
            // All norms have the same step counter.
            pickle.text("generator.model.1.bn_l.num_batches_tracked");
            pickle.tensor("LongStorage", &tensors.len().to_string(), 1, 0, &[], &[]);
        });
    });
    pickle.finish()
}

//! TorchScript files of LaMa generators as written by `torch.jit.save` of torch 1.8, generated without torch: the
//! layout of the published `big-lama.pt`.
//!
//! LaMa's export traces a wrapper around its training module. The archive contains, in this order: one entry per
//! storage (`data/0`, `data/1`, …), the pickled tree of modules (`data.pkl`), source code, constants and a version.
//! Sizes follow each entry (data descriptors), as torch writes to a stream. Differs from it in: source code is not
//! compressed.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use rand::{RngExt as _, SeedableRng as _};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::checkpoints::{Lama, weight_range};

/// The archive's folder: torch uses the name of the file that was saved first.
const ROOT: &str = "big-lama";
/// Path of the generator's layers in the tree of modules.
const PREFIX: &str = "model.generator.model";
/// Value of every norm's step counter.
const STEPS: i64 = 575_000;

/// Writes a TorchScript file of a LaMa generator with seeded random weights.
///
/// # Errors
/// If the file cannot be written.
pub fn write_torchscript(path: &Path, lama: Lama, seed: u64) -> std::io::Result<()> {
    let mut root = Module::default();
    for (index, (name, shape)) in lama.tensors().iter().enumerate() {
        root.insert(&format!("{PREFIX}.{name}"), Tensor { storage: index, shape: shape.clone() });
    }
    let mut archive = ZipWriter::new_stream(BufWriter::new(File::create(path)?));
    let mut random = rand_pcg::Pcg64Mcg::seed_from_u64(seed);
    for (index, (name, shape)) in lama.tensors().iter().enumerate() {
        archive.start_file(format!("{ROOT}/data/{index}"), stored())?;
        let range = weight_range(name, shape);
        let values: Vec<f32> =
            (0..shape.iter().product::<i64>()).map(|_| random.random_range(range.clone())).collect();
        archive.write_all(bytemuck::cast_slice(&values))?;
    }
    let mut pickle = Pickle::default();
    let counters = lama.tensors().len();
    pickle.module(&root, "__torch__.JITWrapper", counters);
    archive.start_file(format!("{ROOT}/data/{counters}"), stored())?;
    archive.write_all(&STEPS.to_le_bytes())?;
    archive.start_file(format!("{ROOT}/data.pkl"), stored())?;
    archive.write_all(&pickle.finish())?;
    for file in ["code/__torch__.py", "code/__torch__.py.debug_pkl"] {
        archive.start_file(format!("{ROOT}/{file}"), stored())?;
        archive.write_all(CODE.as_bytes())?;
    }
    archive.start_file(format!("{ROOT}/constants.pkl"), stored())?;
    archive.write_all(b"\x80\x02).")?;
    archive.start_file(format!("{ROOT}/version"), stored())?;
    archive.write_all(b"3\n")?;
    archive.finish()?.into_inner().flush()
}

/// Source code, which readers ignore.
const CODE: &str = "\
op_version_set = 1
class JITWrapper(Module):
  __parameters__ = []
  __buffers__ = []
  training : bool
";

fn stored() -> SimpleFileOptions {
    SimpleFileOptions::default().compression_method(CompressionMethod::Stored).with_alignment(64)
}

/// A module: modules and tensors by name.
#[derive(Default)]
struct Module {
    children: BTreeMap<String, Self>,
    tensors: BTreeMap<String, Tensor>,
}

struct Tensor {
    storage: usize,
    shape: Vec<i64>,
}

impl Module {
    fn insert(&mut self, path: &str, tensor: Tensor) {
        match path.split_once('.') {
            Some((child, rest)) => self.children.entry(child.to_owned()).or_default().insert(rest, tensor),
            None => {
                self.tensors.insert(path.to_owned(), tensor);
            }
        }
    }
}

/// A pickle of protocol 2 with references to values that it already contains, as torch writes it.
#[derive(Default)]
struct Pickle {
    bytes: Vec<u8>,
    memo: HashMap<String, u32>,
    memoized: u32,
    classes: usize,
}

impl Pickle {
    fn finish(mut self) -> Vec<u8> {
        self.bytes.push(b'.');
        [b"\x80\x02", &self.bytes[..]].concat()
    }

    fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend(bytes);
        self
    }

    /// Memoises the value that was written last.
    fn put(&mut self) -> u32 {
        let at = self.memoized;
        self.memoized += 1;
        match u8::try_from(at) {
            Ok(at) => self.raw(&[b'q', at]),
            Err(_) => self.raw(b"r").raw(&at.to_le_bytes()),
        };
        at
    }

    /// Writes a value, or a reference if it was written before.
    fn once(&mut self, key: String, bytes: &[u8]) -> &mut Self {
        match self.memo.get(&key).copied() {
            Some(at) => match u8::try_from(at) {
                Ok(at) => self.raw(&[b'h', at]),
                Err(_) => self.raw(b"j").raw(&at.to_le_bytes()),
            },
            None => {
                self.raw(bytes);
                let at = self.put();
                self.memo.insert(key, at);
                self
            }
        }
    }

    fn text(&mut self, text: &str) -> &mut Self {
        let length = u32::try_from(text.len()).expect("short text").to_le_bytes();
        self.once(format!("text {text}"), &[b"X", &length[..], text.as_bytes()].concat())
    }

    fn class(&mut self, module: &str, name: &str) -> &mut Self {
        self.once(format!("class {module}.{name}"), format!("c{module}\n{name}\n").as_bytes())
    }

    fn integer(&mut self, integer: i64) -> &mut Self {
        match (u8::try_from(integer), u16::try_from(integer), i32::try_from(integer)) {
            (Ok(byte), ..) => self.raw(&[b'K', byte]),
            (_, Ok(short), _) => self.raw(b"M").raw(&short.to_le_bytes()),
            (.., Ok(word)) => self.raw(b"J").raw(&word.to_le_bytes()),
            _ => self.raw(&[0x8a, 8]).raw(&integer.to_le_bytes()),
        }
    }

    fn integers(&mut self, integers: impl IntoIterator<Item = i64>) -> &mut Self {
        self.raw(b"(");
        for integer in integers {
            self.integer(integer);
        }
        self.raw(b"t")
    }

    /// A module with all its contents; `counters` is the storage of the norms' step counters.
    fn module(&mut self, module: &Module, class: &str, counters: usize) {
        let (package, name) = class.rsplit_once('.').expect("a class within a package");
        self.class(package, name).raw(b")\x81}(");
        self.text("training").raw(b"\x89").text("_is_full_backward_hook").raw(b"N");
        for (name, tensor) in &module.tensors {
            self.text(name).tensor("FloatStorage", tensor.storage, &tensor.shape);
        }
        if module.tensors.contains_key("running_var") {
            self.text("num_batches_tracked").tensor("LongStorage", counters, &[]);
        }
        for (name, child) in &module.children {
            self.classes += 1;
            let class = format!(
                "__torch__.saicinpainting.training.modules.ffc.___torch_mangle_{}.Module",
                self.classes
            );
            self.text(name).module(child, &class, counters);
        }
        self.raw(b"ub");
        self.put();
    }

    fn tensor(&mut self, storage: &str, key: usize, shape: &[i64]) {
        self.class("torch._utils", "_rebuild_tensor_v2").raw(b"((");
        self.text("storage").class("torch", storage).text(&key.to_string()).text("cpu");
        self.integer(shape.iter().product()).raw(b"tQ");
        self.put();
        self.integer(0).integers(shape.iter().copied());
        self.integers((0..shape.len()).map(|axis| shape[axis + 1..].iter().product()));
        self.raw(b"\x89").class("collections", "OrderedDict").raw(b")RtR");
        self.put();
    }
}

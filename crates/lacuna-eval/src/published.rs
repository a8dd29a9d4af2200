//! The metrics' published weights: their sources and hashes.
//!
//! Official files are converted to Lacuna's. The pinned hash is that of the values, independent of the container:
//! tools/fetch_metric_weights.py gets the same values from pip packages.

use std::collections::BTreeMap;
use std::path::Path;

use lacuna::checkpoint::{FloatTensor, Tensors, read_tensors};
use safetensors::tensor::{Dtype, TensorView, serialize};
use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// File name of the weights, as written by tools/fetch_metric_weights.py and `lacuna model fetch metrics`.
pub const LPIPS_ALEX: &str = "lpips_alex_v0.1.safetensors";
/// See [`LPIPS_ALEX`].
pub const LPIPS_VGG: &str = "lpips_vgg_v0.1.safetensors";
/// See [`LPIPS_ALEX`].
pub const INCEPTION: &str = "fid_inception_v3_2015-12-05_pool3.safetensors";

/// A weights file of a metric.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    /// Name of Lacuna's file.
    pub file: &'static str,
    /// SHA-256 of its values, computed by [`numbers_hash`].
    pub numbers: &'static str,
    /// The licences of the official files.
    pub licence: &'static str,
    /// The official files that it is converted from.
    pub sources: &'static [Source],
}

/// An official file.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// Its name, here and on mirrors.
    pub name: &'static str,
    /// Its URL on the authors' server.
    pub url: &'static str,
    /// The beginning of its SHA-256: all of it, or the eight digits that torch's hub puts into file names.
    pub sha256: &'static str,
}

/// All weights of the metrics.
pub const PUBLISHED: [Published; 3] = [
    Published {
        file: LPIPS_ALEX,
        numbers: "863c206e124ac4ca1bc3af060c5bb83483b55d52df50c52d49829816183a7bb1",
        licence: "BSD-3-Clause (AlexNet), BSD-2-Clause (LPIPS)",
        sources: &[
            Source {
                name: "alexnet-owt-7be5be79.pth",
                url: "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
                sha256: "7be5be79",
            },
            Source {
                name: "lpips-v0.1-alex.pth",
                url: "https://github.com/richzhang/PerceptualSimilarity/raw/master/lpips/weights/v0.1/alex.pth",
                sha256: "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
            },
        ],
    },
    Published {
        file: LPIPS_VGG,
        numbers: "5383bb226624408c88f28d452b4bc192cfab1c8ab58b1948982be06d8a8ec0e4",
        licence: "BSD-3-Clause (VGG16), BSD-2-Clause (LPIPS)",
        sources: &[
            Source {
                name: "vgg16-397923af.pth",
                url: "https://download.pytorch.org/models/vgg16-397923af.pth",
                sha256: "397923af",
            },
            Source {
                name: "lpips-v0.1-vgg.pth",
                url: "https://github.com/richzhang/PerceptualSimilarity/raw/master/lpips/weights/v0.1/vgg.pth",
                sha256: "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
            },
        ],
    },
    Published {
        file: INCEPTION,
        numbers: "6b1fa913381eaeaf52680fe69364b57503ae59b5d7b56f37f17a73d31d1e8897",
        licence: "Apache-2.0",
        sources: &[Source {
            name: "pt_inception-2015-12-05-6726825d.pth",
            url: "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
            sha256: "6726825d",
        }],
    },
];

impl Published {
    /// Lacuna's file, converted from official ones in the order of `sources`.
    ///
    /// # Errors
    /// If a file cannot be read, or its values are not the published ones.
    pub fn convert(&self, files: &[&Path]) -> Result<Vec<u8>> {
        let mut tensors = Tensors::new();
        for file in files {
            for (name, tensor) in read_tensors(file)? {
                if let Some(name) = name_of(&name) {
                    tensors.insert(name, tensor);
                }
            }
        }
        let wrong = |problem| Error::Weights { path: self.file.into(), problem };
        self.check(&tensors).map_err(wrong)?;
        let bytes: BTreeMap<&str, Vec<u8>> = tensors
            .iter()
            .map(|(name, tensor)| (name.as_str(), bytemuck::cast_slice(&tensor.values).to_vec()))
            .collect();
        let views = tensors.iter().map(|(name, tensor)| {
            let view = TensorView::new(Dtype::F32, tensor.shape.clone(), &bytes[name.as_str()]);
            (name.as_str(), view.expect("a value for each element"))
        });
        Ok(serialize(views, None).expect("names and shapes are written"))
    }

    /// Checks that these are the published values.
    ///
    /// # Errors
    /// Both hashes, as text.
    pub fn check(&self, tensors: &Tensors) -> std::result::Result<(), String> {
        let hash = numbers_hash(tensors);
        if hash == self.numbers {
            return Ok(());
        }
        Err(format!("its values have the SHA-256 {hash}, the published ones {}", self.numbers))
    }
}

/// The name of an official tensor in Lacuna's files; `None` for tensors that no metric needs: classifiers, and batch
/// norm's scales, which are all 1.
fn name_of(official: &str) -> Option<String> {
    let unused = ["classifier.", "fc.", "AuxLogits."];
    if unused.iter().any(|prefix| official.starts_with(prefix)) || official.ends_with("bn.weight") {
        return None;
    }
    Some(official.replace(".model.1.", "."))
}

/// SHA-256 over names, shapes and values, sorted by name; independent of the container.
pub fn numbers_hash(tensors: &Tensors) -> String {
    let mut hash = Sha256::new();
    for (name, FloatTensor { shape, values }) in tensors {
        hash.update(format!("{name}\0{shape:?}\0").as_bytes());
        values.iter().for_each(|value| hash.update(value.to_le_bytes()));
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_lacunas_files() {
        for (official, expected) in [
            ("features.0.weight", Some("features.0.weight")),
            ("classifier.6.bias", None),
            ("lin3.model.1.weight", Some("lin3.weight")),
            ("Mixed_5b.branch1x1.bn.weight", None),
            ("Mixed_5b.branch1x1.bn.running_var", Some("Mixed_5b.branch1x1.bn.running_var")),
            ("fc.weight", None),
        ] {
            assert_eq!(name_of(official).as_deref(), expected, "{official}");
        }
    }

    #[test]
    fn other_values_are_reported_with_both_hashes() {
        let tensors = Tensors::from([("a".to_owned(), FloatTensor { shape: vec![1], values: vec![1.0] })]);
        let error = PUBLISHED[0].check(&tensors).unwrap_err();
        assert!(error.contains(&numbers_hash(&tensors)) && error.contains(PUBLISHED[0].numbers), "{error}");
        let mut moved = tensors.clone();
        moved.insert("b".to_owned(), FloatTensor { shape: vec![1], values: vec![1.0] });
        assert_ne!(numbers_hash(&moved), numbers_hash(&tensors));
    }

    #[test]
    fn official_files_become_lacunas() {
        // Official files with the values of the fetched ones: other names, and tensors that no metric needs.
        let folder = tempfile::tempdir().unwrap();
        for published in PUBLISHED {
            let Some(path) = testkit::weights::metric_weights(published.file) else { continue };
            let tensors = read_tensors(&path).unwrap();
            let one = [0u8; 4];
            let official = tensors.iter().map(|(name, FloatTensor { shape, values })| {
                let name = if name.starts_with("lin") {
                    name.replace(".weight", ".model.1.weight")
                } else {
                    name.clone()
                };
                (name, TensorView::new(Dtype::F32, shape.clone(), bytemuck::cast_slice(values)).unwrap())
            });
            let unused = ["classifier.1.weight", "Conv2d_1a_3x3.bn.weight", "fc.bias"];
            let unused =
                unused.map(|name| (name.to_owned(), TensorView::new(Dtype::F32, vec![1], &one).unwrap()));
            let file = folder.path().join("official.safetensors");
            std::fs::write(&file, serialize(official.chain(unused), None).unwrap()).unwrap();
            let made = published.convert(&[&file]).unwrap();
            assert_eq!(lacuna::checkpoint::parse_tensors(&made).unwrap(), tensors);
            let wrong = Published { numbers: "00", ..published }.convert(&[&file]).unwrap_err().to_string();
            assert!(wrong.contains("the published ones 00"), "{wrong}");
        }
    }

    #[test]
    fn published_files_have_the_published_numbers() {
        for published in PUBLISHED {
            let Some(path) = testkit::weights::metric_weights(published.file) else { continue };
            published.check(&read_tensors(&path).unwrap()).unwrap();
        }
    }
}

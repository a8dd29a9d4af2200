//! True latents of crops that come again: computing them is a third of a training step (docs/training.md).
//!
//! One file of records that only grows. A record is found by the hash of its crop's pixels and has a checksum, so neither another order
//! of photos nor a kill can give a crop the latent of another one: what is not found or is damaged is computed again. Values are
//! normalised latents as 16-bit floats, also when they were just computed: the cache changes no bit of a run that was interrupted.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use burn::tensor::{Tensor, TensorData};
use half::f16;
use half::slice::HalfFloatSliceExt;
use lacuna::hash::{sha256, sha256_number};
use lacuna_nets::weights::read_tensor;
use lacuna_network::geometry::MULTIPLE;

use super::latents::LatentMaker;
use crate::data::Batch;
use crate::{Error, Result};

/// Bytes of the file's header: the SHA-256, hexadecimal, of what its latents were computed with.
const HEADER: u64 = 64;
/// Bytes of a record before its values: the crop's hash, and a checksum of both.
const RECORD_HEAD: usize = 8 + 4;

/// The file of true latents of a run.
#[derive(Debug)]
pub struct LatentCache {
    path: PathBuf,
    file: File,
    /// Where the record of a crop begins, by the hash of its pixels.
    records: HashMap<u64, u64>,
    /// Bytes of the file.
    end: u64,
    /// Shape of a latent.
    shape: [usize; 3],
}

impl LatentCache {
    /// Opens or creates the cache for the latents that `maker` computes from crops of `side` pixels. Latents of another generator or
    /// with other statistics are removed.
    ///
    /// # Errors
    /// [`Error::Read`] or [`Error::Write`].
    pub fn open(path: &Path, maker: &LatentMaker, side: usize) -> Result<Self> {
        let shape = [maker.generator().channels(), side / MULTIPLE, side / MULTIPLE];
        let identity = sha256(
            format!("{} {:?} {shape:?}", maker.generator().fingerprint(), maker.statistics()).as_bytes(),
        );
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|source| Error::Write { path: folder.to_owned(), source })?;
        }
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let file = file.map_err(|source| Error::Write { path: path.to_owned(), source })?;
        let mut cache = Self { path: path.to_owned(), file, records: HashMap::new(), end: HEADER, shape };
        cache.read_index(&identity).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        Ok(cache)
    }

    /// Number of latents in the file.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The latents of a batch, as [`LatentMaker::truth`], rounded to 16-bit floats.
    ///
    /// # Errors
    /// If the generator fails, or the file cannot be read or written.
    pub fn truth(&mut self, maker: &LatentMaker, batch: &Batch) -> Result<Tensor<4>> {
        let pixels = batch.side * batch.side;
        let [channels, height, width] = self.shape;
        let mut values = Vec::with_capacity(batch.names.len() * channels * height * width);
        for (index, name) in batch.names.iter().enumerate() {
            let image = &batch.images[index * 3 * pixels..][..3 * pixels];
            let key = sha256_number(bytemuck::cast_slice(image));
            let halves = match self.get(key)? {
                Some(halves) => halves,
                None => {
                    // One crop at a time: its bits must not depend on the others that are missing.
                    let alone = Batch {
                        side: batch.side,
                        images: image.to_vec(),
                        masks: vec![0.0; pixels],
                        names: vec![name.clone()],
                    };
                    let latent = read_tensor(maker.truth(&alone)?)?.values;
                    let mut halves = vec![f16::ZERO; latent.len()];
                    halves.convert_from_f32_slice(&latent);
                    self.put(key, &halves)?;
                    halves
                }
            };
            values.extend(halves.to_f32_vec());
        }
        let shape = [batch.names.len(), channels, height, width];
        Ok(Tensor::from_data(TensorData::new(values, shape), &maker.generator().device()))
    }

    fn values(&self) -> usize {
        self.shape.iter().product()
    }

    fn record_bytes(&self) -> u64 {
        (RECORD_HEAD + 2 * self.values()) as u64
    }

    /// Reads where records are, or begins a new file.
    fn read_index(&mut self, identity: &str) -> std::io::Result<()> {
        let length = self.file.seek(SeekFrom::End(0))?;
        self.file.rewind()?;
        let mut header = vec![0; HEADER as usize];
        if length < HEADER || self.file.read_exact(&mut header).is_err() || header != identity.as_bytes() {
            self.file.set_len(0)?;
            self.file.rewind()?;
            return self.file.write_all(identity.as_bytes());
        }
        // The last record may be incomplete.
        let count = (length - HEADER) / self.record_bytes();
        for record in 0..count {
            let start = HEADER + record * self.record_bytes();
            let mut key = [0; 8];
            self.file.seek(SeekFrom::Start(start))?;
            self.file.read_exact(&mut key)?;
            self.records.insert(u64::from_le_bytes(key), start);
        }
        self.end = HEADER + count * self.record_bytes();
        self.file.set_len(self.end)
    }

    /// The latent of a crop, if the file has it undamaged.
    fn get(&mut self, key: u64) -> Result<Option<Vec<f16>>> {
        let Some(&start) = self.records.get(&key) else { return Ok(None) };
        let mut record = vec![0; self.record_bytes() as usize];
        self.file
            .seek(SeekFrom::Start(start))
            .and_then(|_| self.file.read_exact(&mut record))
            .map_err(|source| Error::Read { path: self.path.clone(), source })?;
        let (head, values) = record.split_at(RECORD_HEAD);
        if head != record_head(key, values) {
            return Ok(None);
        }
        Ok(Some(values.as_chunks().0.iter().map(|&two| f16::from_le_bytes(two)).collect()))
    }

    /// Appends the latent of a crop.
    fn put(&mut self, key: u64, halves: &[f16]) -> Result<()> {
        assert_eq!(halves.len(), self.values(), "values of a latent");
        let values: Vec<u8> = halves.iter().flat_map(|half| half.to_le_bytes()).collect();
        let record = [&record_head(key, &values)[..], &values].concat();
        self.file
            .seek(SeekFrom::Start(self.end))
            .and_then(|_| self.file.write_all(&record))
            .map_err(|source| Error::Write { path: self.path.clone(), source })?;
        self.records.insert(key, self.end);
        self.end += self.record_bytes();
        Ok(())
    }
}

/// Hash and checksum of a record.
fn record_head(key: u64, values: &[u8]) -> [u8; RECORD_HEAD] {
    let key = key.to_le_bytes();
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&key), values).to_le_bytes();
    let mut head = [0; RECORD_HEAD];
    head[..8].copy_from_slice(&key);
    head[8..].copy_from_slice(&checksum);
    head
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{small_batch, small_maker, values};
    use lacuna::flow::Statistics;
    use testkit::assert_close;

    /// 16-bit floats have eleven digits: half of the spacing of values up to 5.
    const ROUNDING: f32 = 4.0 / 2048.0;

    #[test]
    fn what_was_kept_is_what_was_computed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, maker, batch) = (folder.path().join("latents.cache"), small_maker(), small_batch());
        let open = || LatentCache::open(&path, &maker, batch.side).unwrap();
        let mut cache = open();
        assert!(cache.is_empty());
        let computed = values(cache.truth(&maker, &batch).unwrap());
        assert_close(&computed, &values(maker.truth(&batch).unwrap()), ROUNDING);
        assert_eq!(cache.len(), 2);
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len() as u64, HEADER + 2 * cache.record_bytes());
        assert_eq!(values(cache.truth(&maker, &batch).unwrap()), computed);
        drop(cache);
        let mut again = open();
        assert_eq!(again.len(), 2);
        assert_eq!(values(again.truth(&maker, &batch).unwrap()), computed);
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "nothing was computed again");
    }

    #[test]
    fn damaged_and_cut_records_are_computed_again() {
        let folder = tempfile::tempdir().unwrap();
        let (path, maker, batch) = (folder.path().join("latents.cache"), small_maker(), small_batch());
        let open = || LatentCache::open(&path, &maker, batch.side).unwrap();
        let computed = values(open().truth(&maker, &batch).unwrap());
        let whole = std::fs::read(&path).unwrap();
        let record = (whole.len() - HEADER as usize) / 2;
        let mut damaged = whole.clone();
        damaged[HEADER as usize + record / 2] ^= 1;
        for (bytes, kept) in [
            (&damaged[..], 2),
            (&whole[..whole.len() - 1], 1),
            (&whole[..70], 0),
            (&whole[..10], 0),
            (&[], 0),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let mut cache = open();
            assert_eq!(cache.len(), kept);
            assert_eq!(values(cache.truth(&maker, &batch).unwrap()), computed);
            assert_eq!(values(open().truth(&maker, &batch).unwrap()), computed);
        }
    }

    #[test]
    fn latents_of_other_statistics_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, maker, batch) = (folder.path().join("latents.cache"), small_maker(), small_batch());
        LatentCache::open(&path, &maker, batch.side).unwrap().truth(&maker, &batch).unwrap();
        let statistics = Statistics { mean: vec![0.0; 32], ..maker.statistics().clone() };
        let other = LatentMaker::new(maker.generator().clone(), statistics, 1);
        assert!(LatentCache::open(&path, &other, batch.side).unwrap().is_empty());
        assert!(LatentCache::open(&path, &maker, batch.side).unwrap().is_empty());
    }

    /// A crop has the same latent whatever else is in its batch.
    #[test]
    fn latents_do_not_depend_on_the_batch() {
        let folder = tempfile::tempdir().unwrap();
        let (maker, batch) = (small_maker(), small_batch());
        let pixels = batch.side * batch.side;
        let second = Batch {
            images: batch.images[3 * pixels..].to_vec(),
            masks: batch.masks[pixels..].to_vec(),
            names: vec!["b".into()],
            ..batch.clone()
        };
        let open = |name: &str| LatentCache::open(&folder.path().join(name), &maker, batch.side).unwrap();
        let both = values(open("both").truth(&maker, &batch).unwrap());
        let alone = values(open("alone").truth(&maker, &second).unwrap());
        assert_eq!(both[alone.len()..], alone);
    }
}

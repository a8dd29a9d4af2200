//! All photos of a run, by index.

use std::collections::HashMap;
use std::path::PathBuf;

use image::RgbImage;
use lacuna::Picture;
use lacuna::hash::sha256;
use lacuna::picture::{Limits, read_file};

use super::Source;
use super::shards::{self, Member};
use crate::{Error, Result};

/// Photos of one or more sources.
#[derive(Clone, Debug)]
pub struct Photos {
    all: Vec<Photo>,
}

#[derive(Clone, Debug)]
enum Photo {
    File(PathBuf),
    Member { shard: PathBuf, member: Member },
}

impl Photos {
    /// Lists the photos of all sources, one source after another.
    ///
    /// # Errors
    /// If a source cannot be read, or has no photos.
    pub fn open(sources: &[Source]) -> Result<Self> {
        let mut all = Vec::new();
        for source in sources {
            let before = all.len();
            for path in source.files()? {
                match source {
                    Source::Shards { .. } => {
                        let members = shards::index(&path)?.into_iter();
                        all.extend(members.map(|member| Photo::Member { shard: path.clone(), member }));
                    }
                    _ => all.push(Photo::File(path)),
                }
            }
            if all.len() == before {
                return Err(Error::Photos(format!("no photos in {}", source.path().display())));
            }
        }
        Ok(Self { all })
    }

    /// Number of photos.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are no photos.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// A photo's name.
    pub fn name(&self, index: usize) -> String {
        match &self.all[index] {
            Photo::File(path) => path.display().to_string(),
            Photo::Member { shard, member } => format!("{}/{}", shard.display(), member.name.display()),
        }
    }

    /// Decodes a photo, upright, with 8 bits per channel and without alpha.
    ///
    /// # Errors
    /// If it cannot be read or decoded.
    pub fn decode(&self, index: usize) -> Result<RgbImage> {
        let limits = Limits::default();
        let picture = Picture::decode(&self.read(index, &limits)?, &self.name(index), &limits)?;
        // Decoding has already rotated it upright.
        Ok(picture.pixels().to_rgb8())
    }

    /// The bytes of a photo's file.
    fn read(&self, index: usize, limits: &Limits) -> Result<Vec<u8>> {
        Ok(match &self.all[index] {
            Photo::File(path) => read_file(path, limits)?,
            Photo::Member { shard, member } => {
                limits.check_file(&self.name(index), member.length)?;
                shards::read(shard, member)?
            }
        })
    }

    /// Checks that no file of `held_out` is among these, under any name, by SHA-256. Files that cannot be read are
    /// skipped, as in training.
    ///
    /// # Errors
    /// [`Error::Photos`] with the names of both.
    pub fn check_apart(&self, held_out: &Self) -> Result<()> {
        let limits = Limits::default();
        let hashes = |photos: &Self| -> HashMap<String, usize> {
            let hash = |index| photos.read(index, &limits).ok().map(|bytes| (sha256(&bytes), index));
            (0..photos.len()).filter_map(hash).collect()
        };
        let own = hashes(self);
        for (hash, index) in hashes(held_out) {
            if let Some(&learned) = own.get(&hash) {
                let (learned, held_out) = (self.name(learned), held_out.name(index));
                return Err(Error::Photos(format!("data.train: {learned} is held out ({held_out})")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::testing::{photo, photos_folder};

    #[test]
    fn sources_follow_one_another() {
        let [first, second] = [photos_folder(2), photos_folder(3)];
        let sources = [&first, &second].map(|folder| Source::Folder { path: folder.path().to_owned() });
        let photos = Photos::open(&sources).unwrap();
        assert_eq!((photos.len(), photos.is_empty()), (5, false));
        assert_eq!(photos.decode(4).unwrap(), photo(2));
        assert!(photos.name(1).ends_with("001.png"), "{}", photos.name(1));
    }

    #[test]
    fn what_is_held_out_is_found_under_any_name() {
        let [learned, held_out] = [photos_folder(3), tempfile::tempdir().unwrap()];
        let open = |folder: &tempfile::TempDir| {
            Photos::open(&[Source::Folder { path: folder.path().to_owned() }]).unwrap()
        };
        photo(7).save(held_out.path().join("b.png")).unwrap();
        open(&learned).check_apart(&open(&held_out)).unwrap();
        std::fs::copy(learned.path().join("001.png"), held_out.path().join("other name.png")).unwrap();
        let error = open(&learned).check_apart(&open(&held_out)).unwrap_err().to_string();
        assert!(error.contains("001.png is held out (") && error.ends_with("other name.png)"), "{error}");
    }

    #[test]
    fn a_source_without_photos_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let error =
            Photos::open(&[Source::Folder { path: folder.path().to_owned() }]).unwrap_err().to_string();
        assert_eq!(error, format!("no photos in {}", folder.path().display()));
    }

    #[test]
    fn what_is_no_photo_is_an_error_when_it_is_read() {
        let folder = photos_folder(1);
        std::fs::write(folder.path().join("broken.jpg"), "no photo").unwrap();
        let photos = Photos::open(&[Source::Folder { path: folder.path().to_owned() }]).unwrap();
        assert!(photos.decode(1).unwrap_err().to_string().contains("broken.jpg"));
    }

    #[test]
    fn photos_are_turned_upright_once() {
        use image::ImageEncoder;
        let folder = tempfile::tempdir().unwrap();
        let photo = RgbImage::from_fn(16, 8, |x, _| image::Rgb([if x < 8 { 255 } else { 0 }; 3]));
        let mut file = Vec::new();
        let mut encoder = image::codecs::png::PngEncoder::new(&mut file);
        // A TIFF header and one entry: orientation 6, to be rotated by 90 degrees clockwise.
        let exif = [b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0".as_slice(), &[0; 4]].concat();
        encoder.set_exif_metadata(exif).unwrap();
        encoder.write_image(photo.as_raw(), 16, 8, image::ExtendedColorType::Rgb8).unwrap();
        std::fs::write(folder.path().join("a.png"), file).unwrap();
        let photos = Photos::open(&[Source::Folder { path: folder.path().to_owned() }]).unwrap();
        let upright = photos.decode(0).unwrap();
        assert_eq!(upright.dimensions(), (8, 16));
        assert_eq!([upright.get_pixel(4, 2).0[0], upright.get_pixel(4, 13).0[0]], [255, 0]);
    }

    #[test]
    fn shards_hold_photos_too() {
        let folder = photos_folder(2);
        let path = folder.path().join("shards");
        std::fs::create_dir(&path).unwrap();
        let mut builder = tar::Builder::new(std::fs::File::create(path.join("0.tar")).unwrap());
        builder.append_path_with_name(folder.path().join("001.png"), "key.png").unwrap();
        builder.finish().unwrap();
        let photos = Photos::open(&[Source::Shards { path: path.clone() }]).unwrap();
        assert_eq!(photos.decode(0).unwrap(), photo(1));
        assert_eq!(photos.name(0), path.join("0.tar/key.png").display().to_string());
    }
}

//! `lacuna model fetch`: published models and the metrics' weights, from their official releases.

mod download;
mod progress;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use clap::builder::PossibleValuesParser;
use lacuna::atomic::write_bytes_atomically;
use lacuna::checkpoint::Checkpoint;
use lacuna::hash::sha256_of_file;
use lacuna::models::{CheckedFile, ModelStore, PUBLISHED_MODELS, PublishedModel};
use lacuna_eval::published::{PUBLISHED, Published, Source};

use crate::Outcome;
use crate::models::metric_weights_folder;
use crate::output::print;
use download::Remote;

const EXAMPLES: &str = "\
Examples:
  LaMa's largest network, 206 MB:
    lacuna model fetch big-lama
    lacuna inpaint photo.jpg mask.png -o clean.jpg --model big-lama
  From your own server, which has the official files by the same names:
    lacuna model fetch big-lama --mirror https://files.example.org/models
  From a folder with big-lama.pt, without network access:
    lacuna model fetch big-lama --from ~/Downloads

To resume an interrupted download, run the same command again. A file is parsed only after its SHA-256 has been compared with the
published one. Proxies are taken from HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY.";

/// The argument that fetches the metrics' weights.
const METRICS: &str = "metrics";

/// Arguments of `lacuna model fetch`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct FetchArgs {
    /// A model, or `metrics`: the weights of LPIPS and FID (downloads 850 MB, keeps 156 MB)
    #[arg(value_name = "MODEL", value_parser = PossibleValuesParser::new(names()))]
    what: String,
    /// Folder to install into [default: the folder of installed models, see `lacuna models`]
    #[arg(short, long, value_name = "FOLDER")]
    output: Option<PathBuf>,
    /// Download the official files, by the same names, from this address instead
    #[arg(long, value_name = "URL", conflicts_with = "from")]
    mirror: Option<String>,
    /// Take the official files from this folder, without network access
    #[arg(long, value_name = "FOLDER")]
    from: Option<PathBuf>,
}

fn names() -> Vec<&'static str> {
    PUBLISHED_MODELS.iter().map(|model| model.name).chain([METRICS]).collect()
}

/// Source of the official files.
enum Origin<'a> {
    /// Their publishers' URLs.
    Official,
    /// Another server, with all files under this URL by the same names.
    Mirror(&'a str),
    /// A folder.
    Folder(&'a Path),
}

impl Origin<'_> {
    fn urls(&self, name: &str, official: &[&str]) -> Vec<String> {
        match self {
            Self::Mirror(url) => vec![format!("{}/{name}", url.trim_end_matches('/'))],
            _ => official.iter().map(|&url| url.to_owned()).collect(),
        }
    }
}

/// Runs the command.
///
/// # Errors
/// If a file cannot be downloaded or is not the published one. Complete files and partial downloads are kept for the
/// next run.
pub fn run(args: &FetchArgs) -> Result<Outcome> {
    let origin = match (&args.mirror, &args.from) {
        (Some(url), _) => Origin::Mirror(url),
        (None, Some(folder)) => Origin::Folder(folder),
        (None, None) => Origin::Official,
    };
    match PublishedModel::named(&args.what) {
        Some(model) => {
            let store = match &args.output {
                Some(folder) => ModelStore::new(folder),
                None => ModelStore::of_user()?,
            };
            print(&fetch_model(model, &store, &origin)?.display().to_string())?;
        }
        None => {
            let folder = match &args.output {
                Some(folder) => folder.clone(),
                None => metric_weights_folder(None)?,
            };
            fetch_metrics(&folder, &origin)?;
        }
    }
    Ok(Outcome::Done)
}

/// Installs a model; returns its path.
fn fetch_model(model: &PublishedModel, store: &ModelStore, origin: &Origin<'_>) -> Result<PathBuf> {
    if let Some(path) = store.find(model.name) {
        match Checkpoint::open(&path) {
            Ok(_) => {
                eprintln!("{} is already installed", model.name);
                return Ok(path);
            }
            Err(problem) => eprintln!("{problem}; fetching it again"),
        }
    }
    let install = |checked: CheckedFile<'_>| {
        eprintln!("{} is the published file (SHA-256 {}); converting it", model.file, model.sha256);
        store.install(checked).with_context(|| format!("cannot install {}", model.name))
    };
    if let Origin::Folder(folder) = origin {
        return install(model.check(&folder.join(model.file))?);
    }
    let remote = Remote {
        urls: origin.urls(model.file, model.urls),
        bytes: Some(model.bytes),
        converted_bytes: model.bytes,
    };
    let file = store.downloads().join(model.file);
    let checked = download::fetch(&remote, &file, |file| Ok(model.check(file)?))
        .with_context(|| format!("cannot fetch {}", model.name))?;
    let path = install(checked)?;
    fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
    remove_empty(&store.downloads());
    Ok(path)
}

/// Removes the downloads folder if it is empty; other files in it may still be wanted.
fn remove_empty(downloads: &Path) {
    let _ = fs::remove_dir(downloads);
}

/// Installs the metrics' weights, each file as soon as it is complete.
fn fetch_metrics(folder: &Path, origin: &Origin<'_>) -> Result<()> {
    let downloads = folder.join("downloads");
    for published in PUBLISHED {
        let path = folder.join(published.file);
        if path.exists() {
            match published.check(&lacuna::checkpoint::read_tensors(&path)?) {
                Ok(()) => {
                    eprintln!("{} is already installed", path.display());
                    continue;
                }
                Err(problem) => eprintln!("{}: {problem}; fetching it again", path.display()),
            }
        }
        fetch_metric(&published, &path, &downloads, origin)
            .with_context(|| format!("cannot fetch {}", published.file))?;
        print(&path.display().to_string())?;
    }
    remove_empty(&downloads);
    Ok(())
}

fn fetch_metric(published: &Published, path: &Path, downloads: &Path, origin: &Origin<'_>) -> Result<()> {
    let mut files = Vec::new();
    for source in published.sources {
        let file = match origin {
            Origin::Folder(folder) => {
                let file = folder.join(source.name);
                check_source(source, &file)?;
                file
            }
            _ => {
                let remote =
                    Remote { urls: origin.urls(source.name, &[source.url]), bytes: None, converted_bytes: 0 };
                let file = downloads.join(source.name);
                download::fetch(&remote, &file, |file| check_source(source, file))?;
                file
            }
        };
        files.push(file);
    }
    let bytes = published.convert(&files.iter().map(PathBuf::as_path).collect::<Vec<_>>())?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    write_bytes_atomically(path, &bytes)?;
    if !matches!(origin, Origin::Folder(_)) {
        for file in files {
            fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
        }
    }
    Ok(())
}

/// Checks the hash of an official file of a metric.
fn check_source(source: &Source, file: &Path) -> Result<()> {
    let hash = sha256_of_file(file)?;
    if !hash.starts_with(source.sha256) {
        bail!(
            "{} has the SHA-256 {hash}, the published file's begins with {}",
            file.display(),
            source.sha256
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use testkit::checkpoints::Lama;
    use testkit::file_server::{Asked, FileServer, file, ranged, status};
    use testkit::torchscript::write_torchscript;

    use super::*;

    /// A small published file in big-lama's layout, and its description; the pinned values are those of the file.
    struct Release {
        folder: tempfile::TempDir,
        bytes: Arc<Vec<u8>>,
        sha256: &'static str,
    }

    impl Release {
        fn new() -> Self {
            Self::of(Lama { width: 4, blocks: 2, channels_in: 4 })
        }

        fn of(lama: Lama) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("big-lama.pt");
            write_torchscript(&path, lama, 7).unwrap();
            let sha256 = sha256_of_file(&path).unwrap().leak();
            Self { bytes: Arc::new(fs::read(path).unwrap()), sha256, folder }
        }

        fn model(&self, urls: &[String]) -> PublishedModel {
            let urls: Vec<&'static str> = urls.iter().map(|url| &*url.clone().leak()).collect();
            PublishedModel {
                bytes: self.bytes.len() as u64,
                sha256: self.sha256,
                urls: urls.leak(),
                ..PUBLISHED_MODELS[0]
            }
        }

        fn store(&self) -> ModelStore {
            ModelStore::new(self.folder.path().join("models"))
        }

        fn part(&self) -> PathBuf {
            self.store().downloads().join("big-lama.pt.part")
        }

        /// A server that supports ranges; without a range it sends the first `limit` bytes and disconnects.
        fn server(&self, limit: usize) -> FileServer {
            let bytes = Arc::clone(&self.bytes);
            FileServer::start(move |asked| match asked.from {
                Some(_) => ranged(&bytes, asked),
                None => {
                    let mut answer = file(&bytes);
                    answer.truncate(answer.len() - bytes.len() + limit);
                    answer
                }
            })
        }

        fn fetch(&self, servers: &[&FileServer]) -> Result<PathBuf> {
            let urls: Vec<String> =
                servers.iter().map(|server| format!("{}/big-lama.pt", server.url())).collect();
            fetch_model(&self.model(&urls), &self.store(), &Origin::Official)
        }

        /// Asserts that the model is installed, works, and is the only file in the store.
        fn check_installed(&self) {
            let path = self.store().find("big-lama").expect("an installed model");
            assert_eq!(Checkpoint::open(path).unwrap().config().shape().width, 4);
            let files = fs::read_dir(self.store().folder()).unwrap().count();
            assert_eq!(files, 1, "nothing but the model is left");
        }

        /// Asserts that nothing is installed and no partial download is kept.
        fn check_nothing(&self) {
            assert_eq!(self.store().find("big-lama"), None);
            let downloads = fs::read_dir(self.store().downloads());
            assert_eq!(downloads.map_or(0, Iterator::count), 0, "nothing is kept");
        }
    }

    fn from(asked: &[Asked]) -> Vec<Option<u64>> {
        asked.iter().map(|asked| asked.from).collect()
    }

    #[test]
    fn a_model_is_downloaded_once() {
        let release = Release::new();
        let server = release.server(release.bytes.len());
        release.fetch(&[&server]).unwrap();
        release.check_installed();
        release.fetch(&[&server]).unwrap();
        assert_eq!(server.asked().len(), 1);
        // A damaged file is fetched again.
        fs::write(release.store().find("big-lama").unwrap(), "damaged").unwrap();
        release.fetch(&[&server]).unwrap();
        release.check_installed();
    }

    #[test]
    fn downloads_are_resumed() {
        let release = Release::new();
        let server = release.server(1000);
        let error = format!("{:#}", release.fetch(&[&server]).unwrap_err());
        let expected = format!(
            "broke off after 1000 of {} bytes; run the same command again to resume",
            release.bytes.len()
        );
        assert!(error.contains(&expected), "{error}");
        assert_eq!(fs::read(release.part()).unwrap(), release.bytes[..1000]);
        release.fetch(&[&server]).unwrap();
        release.check_installed();
        assert_eq!(from(&server.asked()), [None, Some(1000)]);
    }

    #[test]
    fn a_complete_download_is_not_asked_for_again() {
        let release = Release::new();
        fs::create_dir_all(release.store().downloads()).unwrap();
        fs::write(release.part(), &*release.bytes).unwrap();
        let server = release.server(0);
        release.fetch(&[&server]).unwrap();
        release.check_installed();
        assert!(server.asked().is_empty());
    }

    #[test]
    fn servers_that_do_not_resume_send_all_of_it() {
        let wrong_range = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-9/10\r\nContent-Length: 10\r\n\r\n0123456789";
        for answers_ranges_wrongly in [false, true] {
            let release = Release::new();
            fs::create_dir_all(release.store().downloads()).unwrap();
            fs::write(release.part(), "something else").unwrap();
            let bytes = Arc::clone(&release.bytes);
            let server = FileServer::start(move |asked| {
                if answers_ranges_wrongly && asked.from.is_some() {
                    wrong_range.to_vec()
                } else {
                    file(&bytes)
                }
            });
            release.fetch(&[&server]).unwrap();
            release.check_installed();
            assert_eq!(server.asked()[0].from, Some(14));
        }
    }

    #[test]
    fn the_second_place_continues_what_the_first_began() {
        let release = Release::new();
        let (missing, first, second) =
            (FileServer::start(|_| status("404 Not Found", "")), release.server(500), release.server(0));
        release.fetch(&[&missing, &first, &second]).unwrap();
        release.check_installed();
        assert_eq!((from(&first.asked()), from(&second.asked())), (vec![None], vec![Some(500)]));
    }

    #[test]
    fn redirections_are_followed_with_the_range() {
        let release = Release::new();
        fs::create_dir_all(release.store().downloads()).unwrap();
        fs::write(release.part(), &release.bytes[..100]).unwrap();
        let server = release.server(0);
        let location = format!("Location: {}/storage\r\n", server.url());
        let redirect = FileServer::start(move |_| status("302 Found", &location));
        release.fetch(&[&redirect]).unwrap();
        release.check_installed();
        assert_eq!(from(&server.asked()), [Some(100)]);
    }

    #[test]
    fn other_files_are_refused_with_both_values_and_nothing_is_kept() {
        let release = Release::new();
        let (length, other) = (release.bytes.len(), vec![7; release.bytes.len()]);
        let hash = lacuna::hash::sha256(&other);
        let longer = [&release.bytes[..], b"x"].concat();
        let unsaid = [&b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"[..], &longer].concat();
        for (answer, words) in [
            (file(&other), format!("has the SHA-256 {hash}, the published file has {}", release.sha256)),
            (file(&longer), format!("has {} bytes, the published file has {length}", length + 1)),
            (file(b"short"), format!("has 5 bytes, the published file has {length}")),
            (status("404 Not Found", ""), "answered 404 Not Found".to_owned()),
            (status("503 Service Unavailable", ""), "answered 503".to_owned()),
        ] {
            let server = FileServer::start(move |_| answer.clone());
            let error = format!("{:#}", release.fetch(&[&server]).unwrap_err());
            assert!(error.contains(&words), "{error}");
            release.check_nothing();
        }
        // A server that does not state the length is cut off at the published length.
        let server = FileServer::start(move |_| unsaid.clone());
        let error = format!("{:#}", release.fetch(&[&server]).unwrap_err());
        assert!(error.contains("sends more than the"), "{error}");
    }

    /// The size of the published file; only in release builds, as it takes a minute in others.
    #[cfg(not(debug_assertions))]
    #[test]
    fn a_file_of_full_size_is_installed() {
        let release = Release::of(Lama::BIG);
        let server = release.server(100_000_000);
        assert!(release.fetch(&[&server]).is_err(), "the first attempt breaks off");
        let path = release.fetch(&[&server]).unwrap();
        assert_eq!(Checkpoint::open(path).unwrap().parameters(), 50_975_875);
        assert_eq!(from(&server.asked()), [None, Some(100_000_000)]);
    }

    #[test]
    fn every_place_that_failed_is_named() {
        let release = Release::new();
        let (one, two) = (
            FileServer::start(|_| status("404 Not Found", "")),
            FileServer::start(|_| status("410 Gone", "")),
        );
        let error = format!("{:#}", release.fetch(&[&one, &two]).unwrap_err());
        for words in ["cannot fetch big-lama", &one.url(), "404", &two.url(), "410"] {
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn mirrors_and_folders_replace_the_official_places() {
        let release = Release::new();
        let official = release.server(0);
        let mirror = release.server(release.bytes.len());
        let model = release.model(&[official.url()]);
        let url = format!("{}/lacuna/", mirror.url());
        fetch_model(&model, &release.store(), &Origin::Mirror(&url)).unwrap();
        release.check_installed();
        assert_eq!((official.asked().len(), mirror.asked()[0].target.as_str()), (0, "/lacuna/big-lama.pt"));

        let store = ModelStore::new(release.folder.path().join("others"));
        fetch_model(&model, &store, &Origin::Folder(release.folder.path())).unwrap();
        assert!(store.find("big-lama").is_some());
        assert!(release.folder.path().join("big-lama.pt").exists(), "the user's file stays");
        let empty = tempfile::tempdir().unwrap();
        let store = ModelStore::new(empty.path().join("models"));
        let error = fetch_model(&model, &store, &Origin::Folder(empty.path())).unwrap_err();
        assert!(error.to_string().contains("big-lama.pt"), "{error}");
    }
}

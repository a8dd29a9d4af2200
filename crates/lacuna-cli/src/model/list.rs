//! `lacuna models`: lists installed and available models.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use lacuna::checkpoint::Checkpoint;
use lacuna::hash::sha256_of_file;
use lacuna::models::{MODELS_VARIABLE, ModelStore, PUBLISHED_MODELS, PublishedModel};
use lacuna_eval::published::PUBLISHED;
use serde::Serialize;

use crate::models::metric_weights_folder;
use crate::output::print;

/// Arguments of `lacuna models`.
#[derive(Args)]
pub struct ListArgs {
    /// JSON on standard output
    #[arg(long)]
    json: bool,
}

/// Installed and available models.
#[derive(Serialize)]
struct Listing {
    /// The folder of installed models.
    folder: PathBuf,
    models: Vec<Entry>,
    /// The folder of the metrics' weights.
    metrics_folder: PathBuf,
    metrics: Vec<MetricEntry>,
}

/// A model.
#[derive(Serialize)]
struct Entry {
    name: String,
    /// The installed file; none if it is not installed.
    installed: Option<Installed>,
    /// The published file; none for models that the user put into the folder.
    published: Option<Published>,
}

#[derive(Serialize)]
struct Installed {
    path: PathBuf,
    bytes: u64,
    sha256: String,
    /// None if the file is damaged.
    parameters: Option<usize>,
    /// Where the weights come from, as the file says.
    provenance: Option<String>,
    /// What is wrong with the file.
    problem: Option<String>,
}

#[derive(Serialize)]
struct Published {
    about: &'static str,
    licence: &'static str,
    file: &'static str,
    bytes: u64,
    sha256: &'static str,
    urls: &'static [&'static str],
}

/// A weights file of a metric.
#[derive(Serialize)]
struct MetricEntry {
    name: &'static str,
    licence: &'static str,
    /// None if it is not installed.
    path: Option<PathBuf>,
    urls: Vec<&'static str>,
}

/// Prints the list.
///
/// # Errors
/// If the folder of models cannot be read.
pub fn run(args: &ListArgs) -> Result<()> {
    let listing = Listing::read(&ModelStore::of_user()?, metric_weights_folder(None)?)?;
    print(&if args.json { serde_json::to_string_pretty(&listing)? } else { listing.text() })
}

impl Listing {
    fn read(store: &ModelStore, metrics_folder: PathBuf) -> Result<Self> {
        let mut names = store.installed()?;
        names.extend(PUBLISHED_MODELS.iter().map(|model| model.name.to_owned()));
        names.sort();
        names.dedup();
        let models = names.into_iter().map(|name| Entry::read(name, store)).collect::<Result<_>>()?;
        let metrics = PUBLISHED.iter().map(|published| MetricEntry {
            name: published.file,
            licence: published.licence,
            path: Some(metrics_folder.join(published.file)).filter(|path| path.is_file()),
            urls: published.sources.iter().map(|source| source.url).collect(),
        });
        let metrics = metrics.collect();
        Ok(Self { folder: store.folder().to_owned(), models, metrics_folder, metrics })
    }

    fn text(&self) -> String {
        let mut lines =
            vec![format!("Models in {} ({MODELS_VARIABLE} names another folder):", self.folder.display())];
        self.models.iter().for_each(|entry| lines.extend(entry.lines()));
        lines.push(String::new());
        lines.push(format!("Weights of metrics in {}:", self.metrics_folder.display()));
        for MetricEntry { name, licence, path, .. } in &self.metrics {
            let state =
                if path.is_some() { "installed" } else { "not installed: lacuna model fetch metrics" };
            lines.push(format!("{name}  {state}"));
            lines.push(format!("  licence     {licence}"));
        }
        lines.join("\n")
    }
}

impl Entry {
    fn read(name: String, store: &ModelStore) -> Result<Self> {
        let installed = store.find(&name).map(Installed::read).transpose()?;
        let published = PublishedModel::named(&name).map(|model| Published {
            about: model.about,
            licence: model.licence,
            file: model.file,
            bytes: model.bytes,
            sha256: model.sha256,
            urls: model.urls,
        });
        Ok(Self { name, installed, published })
    }

    fn lines(&self) -> Vec<String> {
        let state = match &self.installed {
            Some(Installed { problem: None, .. }) => "installed".to_owned(),
            Some(Installed { problem: Some(_), .. }) => "damaged".to_owned(),
            None => format!("not installed: lacuna model fetch {}", self.name),
        };
        let mut lines = vec![format!("{}  {state}", self.name)];
        let mut line = |heading: &str, text: &str| lines.push(format!("  {heading:12}{text}"));
        if let Some(published) = &self.published {
            line("about", published.about);
            line("licence", published.licence);
        }
        match (&self.installed, &self.published) {
            (Some(installed), _) => {
                line("file", &installed.path.display().to_string());
                line("size", &format!("{} bytes", installed.bytes));
                line("sha256", &installed.sha256);
                installed.parameters.iter().for_each(|count| line("parameters", &count.to_string()));
                installed.provenance.iter().for_each(|provenance| line("provenance", provenance));
                installed.problem.iter().for_each(|problem| line("problem", problem));
            }
            (None, Some(published)) => {
                line("size", &format!("{} bytes to download", published.bytes));
                line("sha256", published.sha256);
                published.urls.iter().for_each(|url| line("from", url));
            }
            (None, None) => {}
        }
        lines
    }
}

impl Installed {
    fn read(path: PathBuf) -> Result<Self> {
        let sha256 = sha256_of_file(&path)?;
        let bytes = path.metadata().map_or(0, |metadata| metadata.len());
        let (parameters, provenance, problem) = match Checkpoint::open(&path) {
            Ok(checkpoint) => {
                (Some(checkpoint.parameters()), checkpoint.provenance().map(str::to_owned), None)
            }
            Err(problem) => (None, None, Some(problem.to_string())),
        };
        Ok(Self { path, bytes, sha256, parameters, provenance, problem })
    }
}

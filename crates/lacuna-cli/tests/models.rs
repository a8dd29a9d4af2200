//! Installed and published models, the real program with a store in a temporary folder.

use std::fs;
use std::path::PathBuf;

use assert_cmd::assert::Assert;
use assert_cmd::cargo::cargo_bin_cmd;
use predicates::prelude::{PredicateBooleanExt, predicate::str::contains};
use serde_json::Value;
use testkit::checkpoints::Lama;
use testkit::torchscript::write_torchscript;

/// A user with a store of models.
struct User(tempfile::TempDir);

impl User {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn lacuna(&self, arguments: &str) -> Assert {
        self.lacuna_with(arguments, &[])
    }

    fn lacuna_with(&self, arguments: &str, environment: &[(&str, &str)]) -> Assert {
        let mut command = cargo_bin_cmd!("lacuna");
        for proxy in ["ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"] {
            command.env_remove(proxy);
        }
        command
            .current_dir(self.0.path())
            .env("LACUNA_MODELS", self.at("models"))
            .env_remove("LACUNA_METRIC_WEIGHTS")
            .envs(environment.iter().copied())
            .args(arguments.split_whitespace())
            .assert()
    }

    /// A small network in big-lama's layout, installed under its name.
    fn install_big_lama(&self) {
        let file = self.at("big-lama.pt");
        write_torchscript(&file, Lama { width: 4, blocks: 2, channels_in: 4 }, 3).unwrap();
        fs::create_dir_all(self.at("models")).unwrap();
        self.lacuna("model convert big-lama.pt models/big-lama.safetensors").success();
    }

    fn list(&self) -> Value {
        let output = self.lacuna("models --json").success();
        serde_json::from_slice(&output.get_output().stdout).unwrap()
    }
}

#[test]
fn models_are_listed_with_what_they_are() {
    let user = User::new();
    let expected = || {
        contains("big-lama  not installed: lacuna model fetch big-lama")
            .and(contains("licence     Apache-2.0"))
            .and(contains("205669692 bytes to download"))
            .and(contains("344c77bbcb158f17dd143070d1e789f38a66c04202311ae3a258ef66667a9ea9"))
            .and(contains("github.com/Sanster/models"))
            .and(contains(user.at("models").display().to_string()))
            .and(contains("not installed: lacuna model fetch metrics"))
    };
    user.lacuna("models").success().stdout(expected());
    user.lacuna("model list").success().stdout(expected());

    user.install_big_lama();
    fs::copy(user.at("models/big-lama.safetensors"), user.at("models/mine.safetensors")).unwrap();
    fs::write(user.at("models/torn.safetensors"), "torn").unwrap();
    let expected = contains("big-lama  installed")
        .and(contains("mine  installed"))
        .and(contains("provenance  converted from big-lama.pt"))
        .and(contains("torn  damaged"));
    user.lacuna("models").success().stdout(expected);
    let list = user.list();
    let models = list["models"].as_array().unwrap();
    let names: Vec<_> = models.iter().map(|model| model["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["big-lama", "mine", "torn"]);
    let path = user.at("models/big-lama.safetensors");
    assert_eq!(models[0]["installed"]["path"], path.to_str().unwrap());
    assert_eq!(models[0]["installed"]["sha256"], lacuna::hash::sha256_of_file(&path).unwrap());
    assert_eq!(models[0]["published"]["licence"], "Apache-2.0");
    assert_eq!((&models[1]["published"], &models[0]["installed"]["problem"]), (&Value::Null, &Value::Null));
    assert!(models[2]["installed"]["problem"].as_str().unwrap().contains("torn.safetensors"));
    assert_eq!(list["metrics"].as_array().unwrap().len(), 3);
}

#[test]
fn installed_models_go_by_their_names() {
    let user = User::new();
    let missing =
        contains("big-lama is not installed").and(contains("`lacuna model fetch big-lama` installs it"));
    user.lacuna("model info big-lama").code(2).stderr(missing);
    user.install_big_lama();
    user.lacuna("model info big-lama").success().stdout(contains("width       4"));
    user.lacuna("model verify big-lama").success().stdout(contains("sound"));
    user.lacuna("model plan big-lama --size 64").success().stdout(contains("plan for 64 x 64"));
    user.lacuna("model convert big-lama half.safetensors --dtype f16").success();
    let unknown = contains("there is no file and no model called big-lam;").and(contains(": big-lama;"));
    user.lacuna("model info big-lam").code(2).stderr(unknown);
    // A file of that name takes precedence.
    fs::write(user.at("big-lama"), "no weights").unwrap();
    user.lacuna("model info big-lama").code(1).stderr(contains("big-lama: "));
    user.lacuna("model info a:b=big-lama").code(2).stderr(contains("cannot be a name"));
}

#[test]
fn every_command_takes_an_installed_model() {
    let user = User::new();
    user.install_big_lama();
    let photo = image::RgbImage::from_fn(48, 40, |x, y| image::Rgb([(x * 5) as u8, (y * 6) as u8, 99]));
    photo.save(user.at("photo.png")).unwrap();
    fs::create_dir(user.at("masks")).unwrap();
    let hole = |x: u32, y: u32| if (10..20).contains(&x) && (10..20).contains(&y) { 255 } else { 0 };
    let mask = image::GrayImage::from_fn(48, 40, |x, y| image::Luma([hole(x, y)]));
    mask.save(user.at("masks/photo.png")).unwrap();
    let inpaint = |arguments: &str| user.lacuna(&format!("inpaint photo.png masks/photo.png {arguments}"));
    inpaint("-o a.png --model big-lama").success().stderr(contains("with fourier-w4-b2"));
    inpaint("-o b.png --method guided --model big-lama")
        .success()
        .stderr(contains("guided by fourier-w4-b2"));
    inpaint("-o c.png --model x=models/big-lama.safetensors").success();
    let bytes = |name: &str| fs::read(user.at(name)).unwrap();
    assert!(bytes("a.png") == bytes("c.png") && bytes("a.png") != bytes("b.png"));
    inpaint("-o d.png --model small-lama").code(2).stderr(contains("no model called small-lama"));
    assert!(!user.at("d.png").exists());
    user.lacuna("bench --model big-lama --size 32 --passes 1").success();
    fs::create_dir(user.at("photos")).unwrap();
    fs::copy(user.at("photo.png"), user.at("photos/photo.png")).unwrap();
    let eval = "eval --truth photos --masks masks --model big-lama --model two=big-lama -o report --json";
    let results = user.lacuna(eval).success();
    let results: Value = serde_json::from_slice(&results.get_output().stdout).unwrap();
    let names: Vec<_> = results["methods"].as_array().unwrap().iter().map(|method| &method["name"]).collect();
    assert_eq!(names, ["big-lama", "two"]);
}

#[cfg(feature = "fetch")]
mod fetch {
    use super::*;
    use testkit::file_server::{FileServer, file, ranged, status};

    #[test]
    fn what_is_not_the_published_file_is_refused() {
        let user = User::new();
        let short = FileServer::start(|_| file(b"not a network"));
        user.lacuna(&format!("model fetch big-lama --mirror {}", short.url()))
            .code(1)
            .stderr(contains("has 13 bytes, the published file has 205669692"));
        assert_eq!(short.asked()[0].target, "/big-lama.pt");
        let missing = FileServer::start(|_| status("404 Not Found", ""));
        user.lacuna(&format!("model fetch big-lama --mirror {}", missing.url()))
            .code(1)
            .stderr(contains("answered 404 Not Found"));
        assert_eq!(
            fs::read_dir(user.at("models/downloads")).map_or(0, Iterator::count),
            0,
            "nothing is kept"
        );
        fs::write(user.at("big-lama.pt"), "neither this").unwrap();
        user.lacuna("model fetch big-lama --from .").code(1).stderr(contains("has 12 bytes"));
        user.lacuna("model fetch small-lama").code(2).stderr(contains("big-lama, metrics"));
        user.lacuna("model fetch big-lama --from . --mirror http://localhost").code(2);
    }

    #[test]
    fn an_interrupted_download_is_resumed_by_the_same_command() {
        const PUBLISHED: u64 = 205_669_692;
        let user = User::new();
        // The published length is announced, then the connection ends.
        let server = FileServer::start(|asked| {
            let from = asked.from.unwrap_or(0);
            let head = match asked.from {
                None => format!("HTTP/1.1 200 OK\r\nContent-Length: {PUBLISHED}\r\n\r\n"),
                Some(from) => format!(
                    "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {from}-{}/{PUBLISHED}\r\nContent-Length: {}\r\n\r\n",
                    PUBLISHED - 1,
                    PUBLISHED - from
                ),
            };
            [head.as_bytes(), &vec![from as u8; 1000]].concat()
        });
        let part = user.at("models/downloads/big-lama.pt.part");
        for received in [1000, 2000, 3000] {
            let words = format!(
                "broke off after {received} of {PUBLISHED} bytes; run the same command again to resume"
            );
            let fetch = format!("model fetch big-lama --mirror {}", server.url());
            user.lacuna(&fetch).code(1).stderr(contains(words));
            assert_eq!(part.metadata().unwrap().len(), received);
        }
        let from: Vec<_> = server.asked().iter().map(|asked| asked.from).collect();
        assert_eq!(from, [None, Some(1000), Some(2000)]);
    }

    #[test]
    fn weights_of_metrics_are_resumed_and_checked() {
        let user = User::new();
        let (name, bytes) = ("alexnet-owt-7be5be79.pth", b"1234567890");
        let server = FileServer::start(|asked| match asked.from {
            Some(_) => ranged(bytes, asked),
            None => b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345".to_vec(),
        });
        let fetch = |arguments: &str| user.lacuna(&format!("model fetch metrics {arguments}")).code(1);
        let part = user.at(&format!("models/metrics/downloads/{name}.part"));
        let mirror = format!("--mirror {}", server.url());
        fetch(&mirror).stderr(contains("run the same command again to resume"));
        assert_eq!(fs::read(&part).unwrap(), b"12345");
        // Complete, but not the published file: both hashes are named, and nothing is kept.
        let hash = lacuna::hash::sha256(bytes);
        fetch(&mirror).stderr(contains(hash).and(contains("begins with 7be5be79")));
        assert_eq!(fs::read_dir(part.parent().unwrap()).unwrap().count(), 0);
        let asked = server.asked();
        assert_eq!((asked[0].from, asked[1].from), (None, Some(5)));
        assert!(asked.iter().all(|asked| asked.target == format!("/{name}")));
        fetch("--from models").stderr(contains(name));
    }

    #[test]
    fn proxies_of_the_environment_are_used() {
        let user = User::new();
        let proxy = FileServer::start(|_| status("404 Not Found", ""));
        for variable in ["HTTP_PROXY", "ALL_PROXY"] {
            let fetch = "model fetch big-lama --mirror http://files.example:81/x";
            user.lacuna_with(fetch, &[(variable, &proxy.url())]).code(1).stderr(contains("404"));
        }
        let asked = proxy.asked();
        assert!(asked.iter().any(|asked| asked.target.contains("files.example:81")), "{asked:?}");
        let before = asked.len();
        let server = FileServer::start(|_| status("404 Not Found", ""));
        let fetch = format!("model fetch big-lama --mirror {}", server.url());
        user.lacuna_with(&fetch, &[("HTTP_PROXY", &proxy.url()), ("NO_PROXY", "127.0.0.1")]).code(1);
        assert_eq!((proxy.asked().len(), server.asked().len()), (before, 1));
    }
}

//! Measures LPIPS (VGG) and FID features alone, for bench/metrics/compare.py: `metric_speed WEIGHTS SET FILLS COUNT`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use lacuna::picture::Limits;
use lacuna::{Picture, Planes, Rect};
use lacuna_eval::case::{Cases, Fills};
use lacuna_eval::metric::{Inception, Lpips};
use lacuna_eval::published::{INCEPTION, LPIPS_VGG};
use rayon::prelude::*;

fn planes(path: &Path) -> Planes {
    let picture = Picture::open(path, &Limits::default()).expect("a picture");
    picture.planes(Rect::whole(picture.width(), picture.height()))
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [weights, set, fills, count] = &arguments[..] else { panic!("WEIGHTS SET FILLS COUNT") };
    let (weights, set) = (PathBuf::from(weights), PathBuf::from(set));
    let cases = Cases::find(&set, &set).expect("a set").cases;
    let fills = Fills::find(Path::new(fills)).expect("fills");
    let count: usize = count.parse().expect("a number");
    let pairs: Vec<(Planes, Planes)> = cases[..count]
        .iter()
        .map(|case| (planes(&case.truth), planes(fills.of(case).expect("a fill"))))
        .collect();
    let lpips = Lpips::open(&weights.join(LPIPS_VGG)).expect("weights");
    let start = Instant::now();
    let distances: Vec<f64> =
        pairs.par_iter().map(|(truth, fill)| lpips.distance(fill, truth).expect("one size")).collect();
    let mean = distances.iter().sum::<f64>() / distances.len() as f64;
    println!("lpips {:.3} s, mean {mean:.6}", start.elapsed().as_secs_f64());
    let inception = Inception::open(&weights.join(INCEPTION)).expect("weights");
    let start = Instant::now();
    let sums: Vec<f32> =
        pairs.par_iter().map(|(_, fill)| inception.features(fill).expect("pixels").iter().sum()).collect();
    println!("features {:.3} s, sum {:.3}", start.elapsed().as_secs_f64(), sums.iter().sum::<f32>());
}

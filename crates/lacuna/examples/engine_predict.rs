//! Runs the engine on stored images, for comparison with other implementations: `cargo run --release -p lacuna
//! --example engine_predict -- MODEL IN.safetensors OUT.safetensors`. IN contains float32 `image` `[batch, 3, height,
//! width]` and `mask` `[batch, 1, height, width]`, and OUT gets `predicted`.

use lacuna::checkpoint::Checkpoint;
use lacuna_cpu::Isa;
use lacuna_cpu::engine::{Engine, PlanOptions, Wanted};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, input, output] = arguments.as_slice() else {
        return Err("usage: engine_predict MODEL IN.safetensors OUT.safetensors".into());
    };
    let checkpoint = Checkpoint::open(model)?;
    let engine =
        Engine::compile(&checkpoint.config().layers(), Isa::selected()?, |name| checkpoint.values(name))?;
    let bytes = std::fs::read(input)?;
    let tensors = SafeTensors::deserialize(&bytes)?;
    let (image, mask) = (tensors.tensor("image")?, tensors.tensor("mask")?);
    let &[batch, 3, height, width] = image.shape() else {
        return Err(format!("expected an image [batch, 3, height, width], got {:?}", image.shape()).into());
    };
    if mask.shape() != [batch, 1, height, width] || image.dtype() != Dtype::F32 || mask.dtype() != Dtype::F32
    {
        return Err(format!(
            "expected a float32 mask [{batch}, 1, {height}, {width}], got {:?}",
            mask.shape()
        )
        .into());
    }
    let numbers = |bytes: &[u8]| -> Vec<f32> { bytemuck::pod_collect_to_vec(bytes) };
    let (image, mask) = (numbers(image.data()), numbers(mask.data()));
    let plan = engine.plan(width, height, &PlanOptions::default())?;
    let mut predicted: Vec<f32> = Vec::with_capacity(image.len());
    for (image, mask) in image.chunks_exact(3 * width * height).zip(mask.chunks_exact(width * height)) {
        let mask: Vec<bool> = mask.iter().map(|&value| value > 0.0).collect();
        predicted.extend(engine.run(&plan, image, &mask, Wanted::Everything)?);
    }
    let view = TensorView::new(Dtype::F32, vec![batch, 3, height, width], bytemuck::cast_slice(&predicted))?;
    safetensors::serialize_to_file([("predicted", view)], None, std::path::Path::new(output))?;
    Ok(())
}

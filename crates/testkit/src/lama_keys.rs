//! Published LaMa key names for Lacuna's, enough to load the fixtures. The real importer is in `lacuna`.

/// The name that a `blocks`-block generator's published checkpoint has for Lacuna's `name`.
///
/// Layer indices as in the reference specification 1.1; mask control as in the fork of the thesis.
///
/// # Panics
/// If `name` is not a Lacuna name of the Fourier family.
pub fn published(name: &str, blocks: usize) -> String {
    let unknown = || -> ! { panic!("{name} is not a key of a Fourier generator") };
    let parts: Vec<&str> = name.split('.').collect();
    let number = |text: &str| text.parse::<usize>().unwrap_or_else(|_| unknown());
    match parts.as_slice() {
        ["encoder", "stem", rest @ ..] => format!("model.1.{}", ffc(&rest.join("."))),
        ["encoder", "down", level, rest @ ..] => {
            format!("model.{}.{}", 2 + number(level), ffc(&rest.join(".")))
        }
        ["refiner", "blocks", block, half, rest @ ..] => {
            let half = match *half {
                "first" => "conv1",
                "second" => "conv2",
                _ => unknown(),
            };
            format!("model.{}.{half}.{}", 5 + number(block), ffc(&rest.join(".")))
        }
        ["decoder", "up", level, "conv", rest] => format!("model.{}.{rest}", 6 + blocks + 3 * number(level)),
        ["decoder", "up", level, "norm", rest] => format!("model.{}.{rest}", 7 + blocks + 3 * number(level)),
        ["decoder", "out", rest] => format!("model.{}.{rest}", 16 + blocks),
        ["control", "encoder", level, "conv", rest] => format!("mask_encoder.{}.{rest}", 3 * number(level)),
        ["control", "encoder", level, "norm", rest] => {
            format!("mask_encoder.{}.{rest}", 3 * number(level) + 1)
        }
        ["control", "zero", level, rest] => format!("zero_conv{}.{rest}", number(level) + 2),
        _ => unknown(),
    }
}

fn ffc(rest: &str) -> String {
    let mut name = rest.to_owned();
    for (lacuna, lama) in [
        ("local_to_local", "convl2l"),
        ("local_to_global", "convl2g"),
        ("global_to_local", "convg2l"),
        ("global_to_global.reduce_norm", "convg2g.conv1.1"),
        ("global_to_global.reduce", "convg2g.conv1.0"),
        ("global_to_global.fourier.conv", "convg2g.fu.conv_layer"),
        ("global_to_global.fourier.norm", "convg2g.fu.bn"),
        ("global_to_global.expand", "convg2g.conv2"),
        ("norm_local", "bn_l"),
        ("norm_global", "bn_g"),
    ] {
        name = name.replace(lacuna, lama);
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_has_its_published_index() {
        struct Case {
            lacuna: &'static str,
            lama: &'static str,
        }
        for Case { lacuna, lama } in [
            Case { lacuna: "encoder.stem.ffc.local_to_local.weight", lama: "model.1.ffc.convl2l.weight" },
            Case { lacuna: "encoder.down.2.norm_global.bias", lama: "model.4.bn_g.bias" },
            Case {
                lacuna: "refiner.blocks.8.second.ffc.global_to_global.reduce_norm.running_var",
                lama: "model.13.conv2.ffc.convg2g.conv1.1.running_var",
            },
            Case { lacuna: "decoder.up.0.conv.weight", lama: "model.15.weight" },
            Case { lacuna: "decoder.up.2.norm.weight", lama: "model.22.weight" },
            Case { lacuna: "decoder.out.bias", lama: "model.25.bias" },
            Case { lacuna: "control.encoder.3.norm.bias", lama: "mask_encoder.10.bias" },
            Case { lacuna: "control.zero.3.weight", lama: "zero_conv5.weight" },
        ] {
            assert_eq!(published(lacuna, 9), lama);
        }
    }

    #[test]
    #[should_panic(expected = "discriminator.weight is not a key")]
    fn foreign_names_are_refused() {
        published("discriminator.weight", 9);
    }
}

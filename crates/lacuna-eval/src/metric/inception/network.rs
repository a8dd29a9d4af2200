//! The layers of Inception, and their weights.

use lacuna::checkpoint::{Tensors, take_tensor};
use lacuna_cpu::engine::{FeatureConvolution, FeatureStep as Step, Pooling};

/// Of batch norm.
const EPSILON: f32 = 0.001;

/// The result of building, or what is wrong with the weights.
type Built<T> = Result<T, String>;

/// A convolution by its name within a block.
#[derive(Clone, Copy)]
struct Layer {
    name: &'static str,
    channels_out: usize,
    /// Rows and columns.
    kernel: [usize; 2],
    reach: Reach,
}

/// Stride and padding.
#[derive(Clone, Copy)]
enum Reach {
    /// Stride 1, zero padding that keeps the size.
    Same,
    /// Stride 1, no padding.
    Inside,
    /// Stride 2, no padding.
    Halve,
}

const fn oblong(name: &'static str, channels_out: usize, kernel: [usize; 2]) -> Layer {
    Layer { name, channels_out, kernel, reach: Reach::Same }
}

const fn square(name: &'static str, channels_out: usize, kernel: usize) -> Layer {
    oblong(name, channels_out, [kernel; 2])
}

const fn inside(name: &'static str, channels_out: usize) -> Layer {
    Layer { reach: Reach::Inside, ..square(name, channels_out, 3) }
}

const fn halved(name: &'static str, channels_out: usize) -> Layer {
    Layer { reach: Reach::Halve, ..square(name, channels_out, 3) }
}

/// All steps up to the last pooling: `[3, 299, 299]` to `[2048, 8, 8]`.
///
/// # Errors
/// The tensor that is missing or has another shape.
pub(super) fn network(tensors: &mut Tensors) -> Built<Vec<Step>> {
    let mut stem = Block { tensors, prefix: String::new(), channels: 3 };
    let first = [halved("Conv2d_1a_3x3", 32), inside("Conv2d_2a_3x3", 32), square("Conv2d_2b_3x3", 64, 3)];
    let mut steps = stem.chain(&first)?;
    steps.push(Step::Pooling(Pooling::Halve));
    stem.channels = 64;
    steps.extend(stem.chain(&[square("Conv2d_3b_1x1", 80, 1), inside("Conv2d_4a_3x3", 192)])?);
    steps.push(Step::Pooling(Pooling::Halve));
    let mut block = |name: &str, channels: usize, build: &dyn Fn(&mut Block<'_>) -> Built<Vec<Vec<Step>>>| {
        let mut block = Block { tensors: &mut *tensors, prefix: format!("{name}."), channels };
        build(&mut block).map(|branches| steps.push(Step::Fork(branches)))
    };
    block("Mixed_5b", 192, &|block| block.fives(32))?;
    block("Mixed_5c", 256, &|block| block.fives(64))?;
    block("Mixed_5d", 288, &|block| block.fives(64))?;
    block("Mixed_6a", 288, &|block| block.halve_to_17())?;
    block("Mixed_6b", 768, &|block| block.sevens(128))?;
    block("Mixed_6c", 768, &|block| block.sevens(160))?;
    block("Mixed_6d", 768, &|block| block.sevens(160))?;
    block("Mixed_6e", 768, &|block| block.sevens(192))?;
    block("Mixed_7a", 768, &|block| block.halve_to_8())?;
    block("Mixed_7b", 1280, &|block| block.crosses(Pooling::Average))?;
    // A quirk of TensorFlow's network, which FID has kept.
    block("Mixed_7c", 2048, &|block| block.crosses(Pooling::Largest))?;
    Ok(steps)
}

/// A block while it is built.
struct Block<'a> {
    tensors: &'a mut Tensors,
    /// Prefix of its convolutions' names.
    prefix: String,
    /// Input channels.
    channels: usize,
}

impl Block<'_> {
    /// 35 x 35: small square kernels.
    fn fives(&mut self, pooled: usize) -> Built<Vec<Vec<Step>>> {
        Ok(vec![
            self.chain(&[square("branch1x1", 64, 1)])?,
            self.chain(&[square("branch5x5_1", 48, 1), square("branch5x5_2", 64, 5)])?,
            self.chain(&[
                square("branch3x3dbl_1", 64, 1),
                square("branch3x3dbl_2", 96, 3),
                square("branch3x3dbl_3", 96, 3),
            ])?,
            self.pool(Pooling::Average, pooled)?,
        ])
    }

    fn halve_to_17(&mut self) -> Built<Vec<Vec<Step>>> {
        Ok(vec![
            self.chain(&[halved("branch3x3", 384)])?,
            self.chain(&[
                square("branch3x3dbl_1", 64, 1),
                square("branch3x3dbl_2", 96, 3),
                halved("branch3x3dbl_3", 96),
            ])?,
            vec![Step::Pooling(Pooling::Halve)],
        ])
    }

    /// 17 x 17: kernels of 1 x 7 and 7 x 1, with `narrow` channels in between.
    fn sevens(&mut self, narrow: usize) -> Built<Vec<Vec<Step>>> {
        Ok(vec![
            self.chain(&[square("branch1x1", 192, 1)])?,
            self.chain(&[
                square("branch7x7_1", narrow, 1),
                oblong("branch7x7_2", narrow, [1, 7]),
                oblong("branch7x7_3", 192, [7, 1]),
            ])?,
            self.chain(&[
                square("branch7x7dbl_1", narrow, 1),
                oblong("branch7x7dbl_2", narrow, [7, 1]),
                oblong("branch7x7dbl_3", narrow, [1, 7]),
                oblong("branch7x7dbl_4", narrow, [7, 1]),
                oblong("branch7x7dbl_5", 192, [1, 7]),
            ])?,
            self.pool(Pooling::Average, 192)?,
        ])
    }

    fn halve_to_8(&mut self) -> Built<Vec<Vec<Step>>> {
        Ok(vec![
            self.chain(&[square("branch3x3_1", 192, 1), halved("branch3x3_2", 320)])?,
            self.chain(&[
                square("branch7x7x3_1", 192, 1),
                oblong("branch7x7x3_2", 192, [1, 7]),
                oblong("branch7x7x3_3", 192, [7, 1]),
                halved("branch7x7x3_4", 192),
            ])?,
            vec![Step::Pooling(Pooling::Halve)],
        ])
    }

    /// 8 x 8: kernels of 1 x 3 and 3 x 1 in parallel.
    fn crosses(&mut self, pool: Pooling) -> Built<Vec<Vec<Step>>> {
        let mut one = self.chain(&[square("branch3x3_1", 384, 1)])?;
        one.push(self.cross(["branch3x3_2a", "branch3x3_2b"])?);
        let mut two = self.chain(&[square("branch3x3dbl_1", 448, 1), square("branch3x3dbl_2", 384, 3)])?;
        two.push(self.cross(["branch3x3dbl_3a", "branch3x3dbl_3b"])?);
        Ok(vec![self.chain(&[square("branch1x1", 320, 1)])?, one, two, self.pool(pool, 192)?])
    }

    fn cross(&mut self, [row, column]: [&'static str; 2]) -> Built<Step> {
        let row = self.convolution(&oblong(row, 384, [1, 3]), 384)?;
        let column = self.convolution(&oblong(column, 384, [3, 1]), 384)?;
        Ok(Step::Fork(vec![vec![row], vec![column]]))
    }

    fn pool(&mut self, pool: Pooling, channels_out: usize) -> Built<Vec<Step>> {
        let convolution = self.chain(&[square("branch_pool", channels_out, 1)])?;
        Ok([Step::Pooling(pool)].into_iter().chain(convolution).collect())
    }

    /// A chain of convolutions on the block's input.
    fn chain(&mut self, layers: &[Layer]) -> Built<Vec<Step>> {
        let mut channels = self.channels;
        let steps = layers.iter().map(|layer| {
            let channels_in = std::mem::replace(&mut channels, layer.channels_out);
            self.convolution(layer, channels_in)
        });
        steps.collect()
    }

    /// A convolution with its batch norm folded in.
    fn convolution(&mut self, layer: &Layer, channels_in: usize) -> Built<Step> {
        let Layer { name, channels_out, kernel, reach } = *layer;
        let mut take = |part: &str, shape: &[usize]| {
            take_tensor(self.tensors, &format!("{}{name}.{part}", self.prefix), shape)
        };
        let mut weight = take("conv.weight", &[channels_out, channels_in, kernel[0], kernel[1]])?;
        let mut bias = take("bn.bias", &[channels_out])?;
        let mean = take("bn.running_mean", &[channels_out])?;
        let variance = take("bn.running_var", &[channels_out])?;
        let filters = weight.chunks_exact_mut(channels_in * kernel[0] * kernel[1]);
        for (at, (filter, bias)) in filters.zip(&mut bias).enumerate() {
            let scale = 1.0 / (variance[at] + EPSILON).sqrt();
            filter.iter_mut().for_each(|value| *value *= scale);
            *bias -= mean[at] * scale;
        }
        let (stride, padding) = match reach {
            Reach::Same => (1, kernel.map(|length| length / 2)),
            Reach::Inside => (1, [0; 2]),
            Reach::Halve => (2, [0; 2]),
        };
        Ok(Step::Convolution(FeatureConvolution {
            channels_in,
            channels_out,
            kernel,
            stride,
            padding,
            weight,
            bias,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lacuna::checkpoint::FloatTensor;

    #[test]
    fn batch_norm_by_hand() {
        let tensor =
            |shape: &[usize], values: &[f32]| FloatTensor { shape: shape.to_vec(), values: values.to_vec() };
        let mut tensors = Tensors::from([
            ("b.c.conv.weight".to_owned(), tensor(&[2, 1, 1, 1], &[3.0, 5.0])),
            ("b.c.bn.bias".to_owned(), tensor(&[2], &[1.0, 2.0])),
            ("b.c.bn.running_mean".to_owned(), tensor(&[2], &[4.0, 6.0])),
            ("b.c.bn.running_var".to_owned(), tensor(&[2], &[0.25 - EPSILON, 4.0 - EPSILON])),
        ]);
        let mut block = Block { tensors: &mut tensors, prefix: "b.".to_owned(), channels: 1 };
        let step = block.convolution(&square("c", 2, 1), 1).unwrap();
        let Step::Convolution(FeatureConvolution { weight, bias, .. }) = step else { panic!("{step:?}") };
        let close = |values: &[f32], expected: [f32; 2]| {
            values
                .iter()
                .zip(expected)
                .for_each(|(value, expected)| assert!((value - expected).abs() < 1e-5));
        };
        close(&weight, [6.0, 2.5]);
        close(&bias, [-7.0, -1.0]);
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let name = "Conv2d_1a_3x3.conv.weight";
        let expected = format!("{name}: expected [32, 3, 3, 3], found");
        assert_eq!(network(&mut Tensors::new()).unwrap_err(), format!("{expected} nothing"));
        let wrong = FloatTensor { shape: vec![32, 3, 5, 5], values: vec![0.0; 32 * 75] };
        let error = network(&mut Tensors::from([(name.to_owned(), wrong)])).unwrap_err();
        assert_eq!(error, format!("{expected} [32, 3, 5, 5]"));
    }
}

//! Backward passes of the [`Kernels`] operations.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, TensorMetadata};
use lacuna_cpu::After;
use lacuna_cpu::kernels::conv::Padding;
use lacuna_cpu::kernels::fourier::Columns;

use super::backend::{Kernels, TRANSPOSED};

/// Gradients are computed only where requested.
macro_rules! register {
    ($backend:ty, $gradients:expr, $parent:expr, $value:expr) => {
        if let Some(parent) = $parent {
            let gradient = $value;
            $gradients.register::<$backend>(parent.id, gradient);
        }
    };
}

/// For operations that are only called on tensors without gradients.
fn no_gradient(name: &str) -> ! {
    unreachable!("{name} has no gradient and takes plain tensors")
}

impl<B: Kernels, C: CheckpointStrategy> Kernels for Autodiff<B, C> {
    fn conv(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        stride: usize,
        padding: Padding,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Back;
        impl<B: Kernels> Backward<B, 2> for Back {
            type State = (NodeId, NodeId, usize, Padding);

            fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, kept: &mut Checkpointer) {
                let [of_x, of_weight] = ops.parents;
                let dy = gradients.consume::<B>(&ops.node);
                let (x, weight, stride, padding) = ops.state;
                let x: FloatTensor<B> = kept.retrieve_node_output(x);
                let weight: FloatTensor<B> = kept.retrieve_node_output(weight);
                let (height, width, kernel) = (x.shape()[2], x.shape()[3], weight.shape()[2]);
                register!(
                    B,
                    gradients,
                    of_weight,
                    B::conv_weight_gradient(x, dy.clone(), kernel, stride, padding)
                );
                register!(
                    B,
                    gradients,
                    of_x,
                    B::conv_input_gradient(dy, weight, height, width, stride, padding)
                );
            }
        }
        match Back.prepare::<C>([x.node(), weight.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = (prep.checkpoint(&x), prep.checkpoint(&weight), stride, padding);
                prep.finish(state, B::conv(x.into_primitive(), weight.into_primitive(), stride, padding))
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(B::conv(x.into_primitive(), weight.into_primitive(), stride, padding))
            }
        }
    }

    fn conv_biased(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        stride: usize,
        padding: Padding,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Back;
        impl<B: Kernels> Backward<B, 3> for Back {
            type State = (NodeId, NodeId, usize, Padding);

            fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, kept: &mut Checkpointer) {
                let [of_x, of_weight, of_bias] = ops.parents;
                let dy = gradients.consume::<B>(&ops.node);
                let (x, weight, stride, padding) = ops.state;
                let x: FloatTensor<B> = kept.retrieve_node_output(x);
                let weight: FloatTensor<B> = kept.retrieve_node_output(weight);
                let (height, width, kernel) = (x.shape()[2], x.shape()[3], weight.shape()[2]);
                register!(B, gradients, of_bias, B::channel_sums(dy.clone()));
                register!(
                    B,
                    gradients,
                    of_weight,
                    B::conv_weight_gradient(x, dy.clone(), kernel, stride, padding)
                );
                register!(
                    B,
                    gradients,
                    of_x,
                    B::conv_input_gradient(dy, weight, height, width, stride, padding)
                );
            }
        }
        match Back.prepare::<C>([x.node(), weight.node(), bias.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = (prep.checkpoint(&x), prep.checkpoint(&weight), stride, padding);
                let [x, weight, bias] = [x, weight, bias].map(|tensor| tensor.into_primitive());
                prep.finish(state, B::conv_biased(x, weight, bias, stride, padding))
            }
            OpsKind::UnTracked(prep) => {
                let [x, weight, bias] = [x, weight, bias].map(|tensor| tensor.into_primitive());
                prep.finish(B::conv_biased(x, weight, bias, stride, padding))
            }
        }
    }

    fn conv_input_gradient(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: usize,
        _: usize,
        _: usize,
        _: Padding,
    ) -> FloatTensor<Self> {
        no_gradient("conv_input_gradient")
    }

    fn conv_weight_gradient(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: usize,
        _: usize,
        _: Padding,
    ) -> FloatTensor<Self> {
        no_gradient("conv_weight_gradient")
    }

    fn channel_sums(_: FloatTensor<Self>) -> FloatTensor<Self> {
        no_gradient("channel_sums")
    }

    fn conv_transposed(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Back;
        impl<B: Kernels> Backward<B, 3> for Back {
            type State = (NodeId, NodeId);

            fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, kept: &mut Checkpointer) {
                let [of_x, of_weight, of_bias] = ops.parents;
                let dy = gradients.consume::<B>(&ops.node);
                let (x, weight) = ops.state;
                let x: FloatTensor<B> = kept.retrieve_node_output(x);
                let weight: FloatTensor<B> = kept.retrieve_node_output(weight);
                // This is a convolution's backward pass, so its own backward pass is that convolution.
                let ((stride, padding), kernel) = (TRANSPOSED, weight.shape()[2]);
                register!(B, gradients, of_bias, B::channel_sums(dy.clone()));
                register!(
                    B,
                    gradients,
                    of_weight,
                    B::conv_weight_gradient(dy.clone(), x, kernel, stride, padding)
                );
                register!(B, gradients, of_x, B::conv(dy, weight, stride, padding));
            }
        }
        match Back.prepare::<C>([x.node(), weight.node(), bias.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = (prep.checkpoint(&x), prep.checkpoint(&weight));
                let [x, weight, bias] = [x, weight, bias].map(|tensor| tensor.into_primitive());
                prep.finish(state, B::conv_transposed(x, weight, bias))
            }
            OpsKind::UnTracked(prep) => {
                let [x, weight, bias] = [x, weight, bias].map(|tensor| tensor.into_primitive());
                prep.finish(B::conv_transposed(x, weight, bias))
            }
        }
    }

    fn statistics(_: FloatTensor<Self>) -> FloatTensor<Self> {
        no_gradient("statistics")
    }

    fn normalise(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        statistics: FloatTensor<Self>,
        after: After,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Back;
        impl<B: Kernels> Backward<B, 3> for Back {
            type State = (NodeId, FloatTensor<B>, FloatTensor<B>, FloatTensor<B>, After);

            fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, kept: &mut Checkpointer) {
                let [of_x, of_weight, of_bias] = ops.parents;
                let dy = gradients.consume::<B>(&ops.node);
                let (x, weight, bias, statistics, after) = ops.state;
                let x: FloatTensor<B> = kept.retrieve_node_output(x);
                let (dx, dweight, dbias) = B::normalise_gradient(x, dy, weight, bias, statistics, after);
                register!(B, gradients, of_x, dx);
                register!(B, gradients, of_weight, dweight);
                register!(B, gradients, of_bias, dbias);
            }
        }
        let statistics = statistics.into_primitive();
        match Back.prepare::<C>([x.node(), weight.node(), bias.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let kept = prep.checkpoint(&x);
                let [x, weight, bias] = [x, weight, bias].map(|tensor| tensor.into_primitive());
                let y = B::normalise(x, weight.clone(), bias.clone(), statistics.clone(), after);
                prep.finish((kept, weight, bias, statistics, after), y)
            }
            OpsKind::UnTracked(prep) => {
                let [x, weight, bias] = [x, weight, bias].map(|tensor| tensor.into_primitive());
                prep.finish(B::normalise(x, weight, bias, statistics, after))
            }
        }
    }

    fn normalise_gradient(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: After,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        no_gradient("normalise_gradient")
    }

    fn affine(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        offset: FloatTensor<Self>,
        after: After,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Back;
        impl<B: Kernels> Backward<B, 3> for Back {
            type State = (NodeId, FloatTensor<B>, FloatTensor<B>, After);

            fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, kept: &mut Checkpointer) {
                let [of_x, of_scale, of_offset] = ops.parents;
                let dy = gradients.consume::<B>(&ops.node);
                let (x, scale, offset, after) = ops.state;
                let x: FloatTensor<B> = kept.retrieve_node_output(x);
                let (dx, dscale, doffset) = B::affine_gradient(x, dy, scale, offset, after);
                register!(B, gradients, of_x, dx);
                register!(B, gradients, of_scale, dscale);
                register!(B, gradients, of_offset, doffset);
            }
        }
        match Back.prepare::<C>([x.node(), scale.node(), offset.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let kept = prep.checkpoint(&x);
                let [x, scale, offset] = [x, scale, offset].map(|tensor| tensor.into_primitive());
                let y = B::affine(x, scale.clone(), offset.clone(), after);
                prep.finish((kept, scale, offset, after), y)
            }
            OpsKind::UnTracked(prep) => {
                let [x, scale, offset] = [x, scale, offset].map(|tensor| tensor.into_primitive());
                prep.finish(B::affine(x, scale, offset, after))
            }
        }
    }

    fn affine_gradient(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: After,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        no_gradient("affine_gradient")
    }

    fn spectrum(x: FloatTensor<Self>, columns: Columns) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Back;
        impl<B: Kernels> Backward<B, 1> for Back {
            type State = usize;

            fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
                let [of_x] = ops.parents;
                let dy = gradients.consume::<B>(&ops.node);
                register!(B, gradients, of_x, B::plane(dy, ops.state, Columns::Half));
            }
        }
        let width = x.shape()[3];
        match Back.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(width, B::spectrum(x.into_primitive(), columns)),
            OpsKind::UnTracked(prep) => prep.finish(B::spectrum(x.into_primitive(), columns)),
        }
    }

    fn plane(spectrum: FloatTensor<Self>, width: usize, columns: Columns) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Back;
        impl<B: Kernels> Backward<B, 1> for Back {
            type State = ();

            fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
                let [of_spectrum] = ops.parents;
                let dy = gradients.consume::<B>(&ops.node);
                register!(B, gradients, of_spectrum, B::spectrum(dy, Columns::Twice));
            }
        }
        match Back.prepare::<C>([spectrum.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((), B::plane(spectrum.into_primitive(), width, columns)),
            OpsKind::UnTracked(prep) => prep.finish(B::plane(spectrum.into_primitive(), width, columns)),
        }
    }
}

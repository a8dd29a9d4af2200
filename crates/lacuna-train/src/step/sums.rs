//! Sums over the batches of a step: of loss terms, of gradients and of BatchNorm's statistics.
//!
//! Batches are summed first on each device, then over the devices of a process, then over processes. So two processes with
//! a device each give the same bits as one process with both devices.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::Device;
use lacuna_nets::weights::{self, Weight, is_statistic};

use crate::Result;
use crate::collective::Collective;
use crate::loss::Term;
use crate::optim::Gradients;

/// Sums over some batches of a step.
#[derive(Clone, Debug)]
pub(super) struct StepSum {
    pub terms: Vec<(Term, f32)>,
    pub generator: NetworkSum,
    pub pixels: Option<NetworkSum>,
    pub latents: Option<NetworkSum>,
}

/// Sums of one network.
#[derive(Clone, Debug, Default)]
pub(super) struct NetworkSum {
    pub gradients: Gradients,
    /// Empty if batches continue from each other's statistics.
    pub statistics: Statistics,
}

/// The statistics of a network's norms, by name; behind each one's values the number of batches that changed it.
#[derive(Clone, Debug, Default)]
pub(super) struct Statistics(BTreeMap<String, Vec<f32>>);

impl StepSum {
    pub fn plus(mut self, other: Self) -> Self {
        for ((term, sum), (other, value)) in self.terms.iter_mut().zip(other.terms) {
            assert_eq!(*term, other, "all batches have the same terms");
            *sum += value;
        }
        let both = |one: Option<NetworkSum>, other: Option<NetworkSum>| Some(one?.plus(other?));
        Self {
            terms: self.terms,
            generator: self.generator.plus(other.generator),
            pixels: both(self.pixels, other.pixels),
            latents: both(self.latents, other.latents),
        }
    }

    /// The sum over all ranks, exchanged as one row of values.
    pub fn over(mut self, ranks: &dyn Collective) -> Result<Self> {
        let mut values: Vec<f32> = self.terms.iter().map(|(_, value)| *value).collect();
        for network in self.networks() {
            values.extend(network.gradients.values()?);
            values.extend(network.statistics.0.values().flatten());
        }
        ranks.sum(&mut values);
        let mut rest = values.as_slice();
        let mut take = |count| rest.split_off(..count).expect("as many values as were summed");
        let sums = take(self.terms.len());
        self.terms.iter_mut().zip(sums).for_each(|((_, value), sum)| *value = *sum);
        for network in self.networks() {
            let gradients = std::mem::take(&mut network.gradients);
            let sums = take(gradients.count());
            network.gradients = gradients.with_values(sums);
            for statistic in network.statistics.0.values_mut() {
                let sums = take(statistic.len());
                statistic.copy_from_slice(sums);
            }
        }
        Ok(self)
    }

    fn networks(&mut self) -> impl Iterator<Item = &mut NetworkSum> {
        [Some(&mut self.generator), self.pixels.as_mut(), self.latents.as_mut()].into_iter().flatten()
    }

    /// Means over `count` batches.
    pub fn mean(mut self, count: usize) -> Self {
        self.terms.iter_mut().for_each(|(_, value)| *value /= count as f32);
        for network in self.networks() {
            network.gradients = std::mem::take(&mut network.gradients).scale(1.0 / count as f64);
            for statistic in network.statistics.0.values_mut() {
                let (_, values) = statistic.split_last_mut().expect("the number of batches that changed it");
                values.iter_mut().for_each(|value| *value /= count as f32);
            }
        }
        self
    }
}

impl NetworkSum {
    fn plus(self, other: Self) -> Self {
        let Statistics(mut statistics) = self.statistics;
        for (name, values) in other.statistics.0 {
            let sums = statistics.get_mut(&name).expect("all batches have the same statistics");
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        }
        Self { gradients: self.gradients.plus(other.gradients), statistics: Statistics(statistics) }
    }

    pub fn on_device(self, device: &Device) -> Self {
        Self { gradients: self.gradients.to_device(device), ..self }
    }
}

impl Statistics {
    /// The statistics of a network after a batch.
    pub fn after<M: Module>(network: &M, before: &M) -> Result<Self> {
        let [before, after] = [before, network].map(|network| weights::read_where(network, is_statistic));
        let with_change = before?.into_iter().zip(after?).map(|(before, after)| {
            let mut values = after.weight.values;
            values.push(if values == before.weight.values { 0.0 } else { 1.0 });
            (after.name, values)
        });
        Ok(Self(with_change.collect()))
    }

    /// Puts mean statistics into a network. Those that no batch changed, as in frozen parts, keep their bits.
    pub fn put_into<M: Module>(self, network: M) -> Result<M> {
        let Self(mut means) = self;
        let network = weights::replace(network, |name| {
            let mut values = means.remove(name)?;
            let changed = values.pop()?;
            (changed > 0.0).then(|| Weight { shape: vec![values.len()], values })
        })?;
        Ok(network)
    }
}

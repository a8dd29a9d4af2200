//! Selection of the device.

use std::fmt;
use std::str::FromStr;

use burn::tensor::Device;

use crate::error::{Error, Result};

/// The name of a device: `cpu`, `cuda`, `cuda:1`, `wgpu`, `wgpu:1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeviceName {
    /// The processor, through Burn's Flex backend.
    Cpu,
    /// The NVIDIA GPU with this index.
    Cuda(usize),
    /// The Vulkan, Metal or DirectX GPU with this index.
    Wgpu(usize),
}

impl DeviceName {
    /// The device, for inference; `.autodiff()` makes it one for training.
    ///
    /// # Errors
    /// [`Error::Device`] if this build or this machine lacks it.
    pub fn open(self) -> Result<Device> {
        match self {
            Self::Cpu => Ok(Device::flex()),
            Self::Cuda(index) => self.pick(cuda_devices(), "cuda", index),
            Self::Wgpu(index) => self.pick(wgpu_devices(), "wgpu", index),
        }
    }

    fn pick(self, devices: Option<Vec<Device>>, feature: &str, index: usize) -> Result<Device> {
        let problem = |problem: String| Error::Device { name: self.to_string(), problem };
        let mut devices = devices
            .ok_or_else(|| problem(format!("this program was built without the feature {feature}")))?;
        if index >= devices.len() {
            return Err(problem(format!("this machine has {} such devices, counted from 0", devices.len())));
        }
        Ok(devices.swap_remove(index))
    }
}

#[cfg(feature = "cuda")]
fn cuda_devices() -> Option<Vec<Device>> {
    Some(Device::enumerate(burn::tensor::DeviceType::Cuda).into_vec())
}

#[cfg(not(feature = "cuda"))]
fn cuda_devices() -> Option<Vec<Device>> {
    None
}

#[cfg(feature = "wgpu")]
fn wgpu_devices() -> Option<Vec<Device>> {
    Some(Device::enumerate(burn::tensor::DeviceType::Wgpu).into_vec())
}

#[cfg(not(feature = "wgpu"))]
fn wgpu_devices() -> Option<Vec<Device>> {
    None
}

impl FromStr for DeviceName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let unknown =
            || Error::Device { name: text.into(), problem: "expected cpu, cuda[:N] or wgpu[:N]".into() };
        let (kind, index) = match text.split_once(':') {
            Some((kind, index)) => (kind, Some(index.parse().map_err(|_| unknown())?)),
            None => (text, None),
        };
        match (kind, index) {
            ("cpu", None) => Ok(Self::Cpu),
            ("cuda", index) => Ok(Self::Cuda(index.unwrap_or(0))),
            ("wgpu", index) => Ok(Self::Wgpu(index.unwrap_or(0))),
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => formatter.write_str("cpu"),
            Self::Cuda(index) => write!(formatter, "cuda:{index}"),
            Self::Wgpu(index) => write!(formatter, "wgpu:{index}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse() {
        struct Case {
            text: &'static str,
            expected: Option<DeviceName>,
        }
        for Case { text, expected } in [
            Case { text: "cpu", expected: Some(DeviceName::Cpu) },
            Case { text: "cuda", expected: Some(DeviceName::Cuda(0)) },
            Case { text: "cuda:3", expected: Some(DeviceName::Cuda(3)) },
            Case { text: "wgpu:1", expected: Some(DeviceName::Wgpu(1)) },
            Case { text: "cpu:0", expected: None },
            Case { text: "cuda:", expected: None },
            Case { text: "cuda:-1", expected: None },
            Case { text: "CPU", expected: None },
            Case { text: "", expected: None },
        ] {
            assert_eq!(text.parse::<DeviceName>().ok(), expected, "{text}");
        }
    }

    #[test]
    fn a_foreign_name_is_quoted() {
        let error = "tpu".parse::<DeviceName>().unwrap_err().to_string();
        assert_eq!(error, "device tpu: expected cpu, cuda[:N] or wgpu[:N]");
    }

    #[test]
    fn the_processor_is_always_there() {
        assert_eq!(DeviceName::Cpu.open().unwrap(), Device::flex());
    }

    #[test]
    fn a_device_that_is_not_there_is_named() {
        // No machine has that many; without the feature the message differs, the name does not.
        for name in [DeviceName::Cuda(4000), DeviceName::Wgpu(4000)] {
            let error = name.open().unwrap_err().to_string();
            assert!(error.starts_with(&format!("device {name}: this ")), "{error}");
        }
    }
}

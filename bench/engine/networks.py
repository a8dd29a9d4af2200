"""Lacuna's networks as PyTorch modules, written from the same specification.

Their state dictionaries have the names and shapes of Lacuna's own weight files. Images are
`[batch, 3, height, width]` in 0..1, masks `[batch, 1, height, width]` with 1 = hole; heights and widths are
multiples of 8.
"""

from __future__ import annotations

import dataclasses
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEVELS = 3  # downsamplings in the encoder, upsamplings in the decoder


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
    """The shape of a network, with the names that Lacuna's files use."""

    family: str
    channels_in: int
    width: int
    blocks: int
    control: bool


class FourierUnit(nn.Module):
    """A 1x1 convolution over the half spectrum; channel 2c is the real, 2c + 1 the imaginary part of c."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2 * channels, 2 * channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(2 * channels)

    def forward(self, x: Tensor) -> Tensor:
        channels, height, width = x.shape[1:]
        spectrum = torch.fft.rfft2(x, norm="ortho")
        parts = torch.stack((spectrum.real, spectrum.imag), dim=2).flatten(1, 2)  # [batch, 2 channels, ...]
        parts = F.relu(self.norm(self.conv(parts))).unflatten(1, (channels, 2))
        spectrum = torch.complex(parts[:, :, 0], parts[:, :, 1])
        return torch.fft.irfft2(spectrum, s=(height, width), norm="ortho")


class MatrixFourierUnit(FourierUnit):
    """The same with the transforms as matrix products for one size: what ONNX Runtime computes fast."""

    def __init__(self, unit: FourierUnit, height: int, width: int) -> None:
        nn.Module.__init__(self)
        self.conv, self.norm = unit.conv, unit.norm
        half = width // 2 + 1
        rows, columns = angles(height, height), angles(width, half)
        # Real rows stand above imaginary rows, so that a reshape interleaves them as channels.
        down = torch.cat((torch.cat((rows.cos(), rows.sin()), 1), torch.cat((-rows.sin(), rows.cos()), 1)))
        # All columns but the first, and the middle one of an even width, stand for two.
        weights = torch.full((half, 1), 2.0, dtype=torch.float64)
        weights[0] = 1
        if width % 2 == 0:
            weights[-1] = 1
        for name, matrix in {
            "across_real": columns.cos() / math.sqrt(width),
            "across_imaginary": -columns.sin() / math.sqrt(width),
            "down": down / math.sqrt(height),
            "up": down.T / math.sqrt(height),
            "back_real": weights * columns.cos().T / math.sqrt(width),
            "back_imaginary": -weights * columns.sin().T / math.sqrt(width),
        }.items():
            self.register_buffer(name, matrix.float().contiguous(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        height, half = x.shape[2], self.across_real.shape[1]
        parts = torch.cat((x @ self.across_real, x @ self.across_imaginary), dim=2)
        parts = (self.down @ parts).reshape(x.shape[0], 2 * x.shape[1], height, half)
        parts = F.relu(self.norm(self.conv(parts)))
        parts = self.up @ parts.reshape(x.shape[0], x.shape[1], 2 * height, half)
        return parts[:, :, :height] @ self.back_real + parts[:, :, height:] @ self.back_imaginary


def angles(positions: int, frequencies: int) -> Tensor:
    """`[positions, frequencies]`: the angle of each product in a Fourier transform over `positions`."""
    product = torch.outer(torch.arange(positions), torch.arange(frequencies))
    return 2 * math.pi * (product % positions).double() / positions


def use_matrix_transforms(network: nn.Module, height: int, width: int) -> None:
    """Replaces all Fourier units by matrix products for a latent of this size."""
    for module in list(network.modules()):
        if isinstance(module, SpectralTransform):
            module.fourier = MatrixFourierUnit(module.fourier, height, width)


class SpectralTransform(nn.Module):
    """Global to global: a Fourier unit between two 1x1 convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        reduced = channels // 2
        self.reduce = nn.Conv2d(channels, reduced, 1, bias=False)
        self.reduce_norm = nn.BatchNorm2d(reduced)
        self.fourier = FourierUnit(reduced)
        self.expand = nn.Conv2d(reduced, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        reduced = F.relu(self.reduce_norm(self.reduce(x)))
        return self.expand(reduced + self.fourier(reduced))


class FourierConvolution(nn.Module):
    """Convolutions between local and global channels; parts without channels are None."""

    def __init__(
        self, inputs: tuple[int, int], outputs: tuple[int, int], kernel: int, stride: int, padding: int
    ) -> None:
        super().__init__()

        def convolution(into: int, out: int) -> nn.Conv2d:
            return nn.Conv2d(into, out, kernel, stride, padding, bias=False, padding_mode="reflect")

        self.local_to_local = convolution(inputs[0], outputs[0])
        if outputs[1]:
            self.local_to_global = convolution(inputs[0], outputs[1])
        if inputs[1]:
            self.global_to_local = convolution(inputs[1], outputs[0])
            self.global_to_global = SpectralTransform(inputs[1])
        self.inputs, self.outputs = inputs, outputs

    def forward(self, x_local: Tensor, x_global: Tensor | None) -> tuple[Tensor, Tensor | None]:
        y_local = self.local_to_local(x_local)
        y_global = self.local_to_global(x_local) if self.outputs[1] else None
        if x_global is not None:
            y_local = y_local + self.global_to_local(x_global)
            y_global = y_global + self.global_to_global(x_global)
        return y_local, y_global


class FourierLayer(nn.Module):
    """Fourier convolution, norm, ReLU."""

    def __init__(
        self,
        inputs: tuple[int, int],
        outputs: tuple[int, int],
        kernel: int = 3,
        stride: int = 1,
        padding: int = 1,
    ) -> None:
        super().__init__()
        self.ffc = FourierConvolution(inputs, outputs, kernel, stride, padding)
        self.norm_local = nn.BatchNorm2d(outputs[0])
        if outputs[1]:
            self.norm_global = nn.BatchNorm2d(outputs[1])

    def forward(self, x_local: Tensor, x_global: Tensor | None) -> tuple[Tensor, Tensor | None]:
        y_local, y_global = self.ffc(x_local, x_global)
        y_local = F.relu(self.norm_local(y_local))
        return y_local, None if y_global is None else F.relu(self.norm_global(y_global))


class FourierBlock(nn.Module):
    """Two Fourier layers and the block's input."""

    def __init__(self, split: tuple[int, int]) -> None:
        super().__init__()
        self.first, self.second = FourierLayer(split, split), FourierLayer(split, split)

    def forward(self, x_local: Tensor, x_global: Tensor) -> tuple[Tensor, Tensor]:
        y_local, y_global = self.second(*self.first(x_local, x_global))
        return x_local + y_local, x_global + y_global


class FourierEncoder(nn.Module):
    """Picture to latent."""

    def __init__(self, channels_in: int, width: int) -> None:
        super().__init__()
        latent = width << LEVELS
        self.stem = FourierLayer((channels_in, 0), (width, 0), kernel=7, padding=0)
        self.down = nn.ModuleList()
        for level in range(LEVELS):
            last = level + 1 == LEVELS
            outputs = (latent // 4, latent // 4 * 3) if last else (width << (level + 1), 0)
            self.down.append(FourierLayer((width << level, 0), outputs, stride=2))

    def forward(self, x: Tensor, control: list[Tensor] | None) -> tuple[Tensor, Tensor]:
        y_local, y_global = F.pad(x, (3, 3, 3, 3), mode="reflect"), None
        for level, layer in enumerate((self.stem, *self.down)):
            y_local, y_global = layer(y_local, y_global)
            if control is not None:
                locals_ = y_local.shape[1]
                y_local = y_local + control[level][:, :locals_]
                y_global = None if y_global is None else y_global + control[level][:, locals_:]
        return y_local, y_global


class ConvNorm(nn.Module):
    """Convolution with bias and norm."""

    def __init__(self, convolution: nn.Module) -> None:
        super().__init__()
        self.conv = convolution
        self.norm = nn.BatchNorm2d(convolution.out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))


class RegularEncoder(nn.Module):
    """The encoder of pix2pixHD's global generator."""

    def __init__(self, channels_in: int, width: int) -> None:
        super().__init__()
        self.stem = ConvNorm(nn.Conv2d(channels_in, width, 7))
        self.down = nn.ModuleList(
            ConvNorm(nn.Conv2d(width << level, width << (level + 1), 3, 2, 1)) for level in range(LEVELS)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(F.pad(x, (3, 3, 3, 3), mode="reflect")))
        for layer in self.down:
            x = F.relu(layer(x))
        return x


class RegularBlock(nn.Module):
    """A residual block of pix2pixHD: the second layer has no ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = (
            ConvNorm(nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect")) for _ in range(2)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.relu(self.first(x)))


class Refiner(nn.Module):
    """The residual blocks."""

    def __init__(self, blocks: list[nn.Module]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)


class Decoder(nn.Module):
    """Latent to picture."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up = nn.ModuleList()
        for level in range(LEVELS):
            inputs = width << (LEVELS - level)
            transposed = nn.ConvTranspose2d(inputs, inputs // 2, 3, 2, 1, output_padding=1)
            self.up.append(ConvNorm(transposed))
        self.out = nn.Conv2d(width, 3, 7)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.up:
            x = F.relu(layer(x))
        return torch.sigmoid(self.out(F.pad(x, (3, 3, 3, 3), mode="reflect")))


class Control(nn.Module):
    """The mask encoder, which adds to every level of the image encoder."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.encoder = nn.ModuleList([ConvNorm(nn.Conv2d(1, width, 1))])
        for level in range(LEVELS):
            self.encoder.append(ConvNorm(nn.Conv2d(width << level, width << (level + 1), 3, 2, 1)))
        self.zero = nn.ModuleList(
            nn.Conv2d(width << level, width << level, 1, bias=False) for level in range(LEVELS + 1)
        )

    def forward(self, mask: Tensor) -> list[Tensor]:
        levels, x = [], mask
        for layer, zero in zip(self.encoder, self.zero):
            x = F.relu(layer(x))
            levels.append(zero(x))
        return levels


class Network(nn.Module):
    """A whole generator: `predicted` from an image and its mask."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        width, latent = config.width, config.width << LEVELS
        if config.family == "fourier":
            split = (latent // 4, latent // 4 * 3)
            self.encoder = FourierEncoder(config.channels_in, width)
            self.refiner = Refiner([FourierBlock(split) for _ in range(config.blocks)])
        else:
            self.encoder = RegularEncoder(config.channels_in, width)
            self.refiner = Refiner([RegularBlock(latent) for _ in range(config.blocks)])
        self.decoder = Decoder(width)
        if config.control:
            self.control = Control(width)

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        masked = image * (1 - mask)
        x = torch.cat((masked, mask), 1) if self.config.channels_in == 4 else masked
        if self.config.family == "regular":
            x = self.encoder(x)
            for block in self.refiner.blocks:
                x = block(x)
            return self.decoder(x)
        features = self.encoder(x, self.control(mask) if self.config.control else None)
        for block in self.refiner.blocks:
            features = block(*features)
        return self.decoder(torch.cat(features, 1))


def load(path: str) -> Network:
    """A network in eval mode from one of Lacuna's files, without initialising its weights first."""
    import json

    import safetensors
    from safetensors.torch import load_file

    with safetensors.safe_open(path, "pt") as file:
        fields = json.loads(file.metadata()["lacuna.network"])
    config = NetworkConfig(**{field.name: fields[field.name] for field in dataclasses.fields(NetworkConfig)})
    with torch.device("meta"):
        network = Network(config)
    weights = load_file(path)
    for name in network.state_dict():
        if name.endswith("num_batches_tracked"):  # PyTorch's own counter; nothing reads it in eval mode
            weights[name] = torch.zeros((), dtype=torch.int64)
    network.load_state_dict(weights, assign=True)
    return network.eval()

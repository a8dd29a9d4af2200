"""PyTorch oracle for the networks, losses and metrics of the project.

LaMa and the thesis "Image inpainting in latent space", restated in PyTorch operators. Its parameter
names are the ones that public LaMa checkpoints use, so a state_dict made here
has the layout of a real checkpoint. `make_fixtures.py` runs it and writes the
numbers that the Rust tests compare with. Needs: torch, numpy, safetensors.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F

LOCAL_SHARE = 0.25  # of the latent's channels; the rest are global


class FourierUnit(nn.Module):
    """1x1 conv, BN, ReLU on the half spectrum; channel 2c is Re, 2c+1 is Im of channel c."""

    def __init__(self, channels):
        super().__init__()
        self.conv_layer = nn.Conv2d(2 * channels, 2 * channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(2 * channels)

    def forward(self, x):
        n, c, h, w = x.shape
        spectrum = torch.fft.rfft2(x, norm="ortho")
        parts = torch.stack((spectrum.real, spectrum.imag), dim=2).reshape(n, 2 * c, h, w // 2 + 1)
        parts = F.relu(self.bn(self.conv_layer(parts))).reshape(n, c, 2, h, w // 2 + 1)
        return torch.fft.irfft2(torch.complex(parts[:, :, 0], parts[:, :, 1]), s=(h, w), norm="ortho")


class Spectral(nn.Module):
    def __init__(self, channels):
        super().__init__()
        half = channels // 2
        self.conv1 = nn.Sequential(nn.Conv2d(channels, half, 1, bias=False), nn.BatchNorm2d(half), nn.ReLU())
        self.fu = FourierUnit(half)
        self.conv2 = nn.Conv2d(half, channels, 1, bias=False)

    def forward(self, x):
        y = self.conv1(x)
        return self.conv2(y + self.fu(y))


class Ffc(nn.Module):
    """in/out are (local, global) channel counts; a count of 0 means that the part is absent."""

    def __init__(self, inp, out, kernel, stride, padding):
        super().__init__()

        def conv(i, o):
            return nn.Conv2d(i, o, kernel, stride, padding, bias=False, padding_mode="reflect") if i and o else None

        self.convl2l = conv(inp[0], out[0])
        self.convl2g = conv(inp[0], out[1])
        self.convg2l = conv(inp[1], out[0])
        self.convg2g = Spectral(inp[1]) if inp[1] and out[1] else None

    def forward(self, local, glob):
        def total(*terms):
            terms = [conv(x) for conv, x in terms if conv is not None and x is not None]
            return sum(terms[1:], terms[0]) if terms else None

        return (
            total((self.convl2l, local), (self.convg2l, glob)),
            total((self.convl2g, local), (self.convg2g, glob)),
        )


class FfcBnAct(nn.Module):
    def __init__(self, inp, out, kernel, stride=1, padding=0):
        super().__init__()
        self.ffc = Ffc(inp, out, kernel, stride, padding)
        self.bn_l = nn.BatchNorm2d(out[0]) if out[0] else None
        self.bn_g = nn.BatchNorm2d(out[1]) if out[1] else None

    def forward(self, x):
        local, glob = self.ffc(*x)
        return (F.relu(self.bn_l(local)), None if glob is None else F.relu(self.bn_g(glob)))


class FfcResidual(nn.Module):
    def __init__(self, split):
        super().__init__()
        self.conv1 = FfcBnAct(split, split, 3, padding=1)
        self.conv2 = FfcBnAct(split, split, 3, padding=1)

    def forward(self, x):
        y = self.conv2(self.conv1(x))
        return (x[0] + y[0], x[1] + y[1])


class OnLocal(nn.Module):
    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x):
        return (self.module(x[0]), x[1])


class Concat(nn.Module):
    def forward(self, x):
        return torch.cat(x, dim=1)


class Generator(nn.Module):
    """LaMa's FFC ResNet generator. `model` has the published layer indices."""

    def __init__(self, inputs=4, width=64, blocks=9):
        super().__init__()
        n = width
        self.width, self.inputs, self.blocks = width, inputs, blocks
        split = (2 * n, 6 * n)
        layers = [
            nn.ReflectionPad2d(3),
            FfcBnAct((inputs, 0), (n, 0), 7),
            FfcBnAct((n, 0), (2 * n, 0), 3, 2, 1),
            FfcBnAct((2 * n, 0), (4 * n, 0), 3, 2, 1),
            FfcBnAct((4 * n, 0), split, 3, 2, 1),
        ]
        layers += [FfcResidual(split) for _ in range(blocks)]
        layers += [Concat()]
        for k in (8, 4, 2):
            layers += [
                nn.ConvTranspose2d(k * n, k * n // 2, 3, 2, 1, output_padding=1),
                nn.BatchNorm2d(k * n // 2),
                nn.ReLU(),
            ]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(n, 3, 7), nn.Sigmoid()]
        self.model = nn.Sequential(*layers)

    def encode(self, x, control=None):
        """x: [N, inputs, H, W]. control: four tensors added after layers 1..4, or None."""
        x = (self.model[0](x), None)
        for i in range(1, 5):
            x = self.model[i](x)
            if control is not None:
                c = control[i - 1]
                k = x[0].shape[1]
                x = (x[0] + c[:, :k], None if x[1] is None else x[1] + c[:, k:])
        return x

    def refine(self, x):
        for i in range(5, 5 + self.blocks):
            x = self.model[i](x)
        return x

    def decode(self, x):
        for i in range(5 + self.blocks, len(self.model)):
            x = self.model[i](x)
        return x

    def forward(self, image, mask, control=None):
        """image [N,3,H,W] in [0,1], mask [N,1,H,W] with 1 = hole; returns a dict of every stage."""
        masked = image * (1 - mask)
        latent = self.encode(torch.cat([masked, mask], 1) if self.inputs == 4 else masked, control)
        refined = self.refine(latent)
        predicted = self.decode(refined)
        return dict(
            latent_local=latent[0], latent_global=latent[1], refined_local=refined[0], refined_global=refined[1],
            predicted=predicted, inpainted=mask * predicted + (1 - mask) * image,
        )


class MaskControl(nn.Module):
    """Mask encoder and its four zero-initialised 1x1 convs (thesis, section 4.1.1 and appendix B.1)."""

    def __init__(self, width=8):
        super().__init__()
        n = width
        layers = [nn.Conv2d(1, n, 1), nn.BatchNorm2d(n), nn.ReLU()]
        for k in (1, 2, 4):
            layers += [nn.Conv2d(k * n, 2 * k * n, 3, 2, 1), nn.BatchNorm2d(2 * k * n), nn.ReLU()]
        self.mask_encoder = nn.Sequential(*layers)
        self.zero_conv2, self.zero_conv3, self.zero_conv4, self.zero_conv5 = (
            nn.Conv2d(k * n, k * n, 1, bias=False) for k in (1, 2, 4, 8)
        )
        for conv in self.zero_convs():
            nn.init.zeros_(conv.weight)

    def zero_convs(self):
        return (self.zero_conv2, self.zero_conv3, self.zero_conv4, self.zero_conv5)

    def forward(self, mask):
        out, x = [], mask
        for i, layer in enumerate(self.mask_encoder):
            x = layer(x)
            if i % 3 == 2:
                out.append(self.zero_convs()[i // 3](x))
        return out


class Discriminator(nn.Module):
    """pix2pixHD n-layer discriminator, 4 hidden strided blocks: logits and the five hidden maps."""

    def __init__(self, width=64):
        super().__init__()
        n = [min(width * k, 512) for k in (1, 2, 4, 8, 16)]
        plan = [(3, n[0], 2, False), (n[0], n[1], 2, True), (n[1], n[2], 2, True), (n[2], n[3], 2, True),
                (n[3], n[4], 1, True), (n[4], 1, 1, None)]
        for i, (a, b, stride, norm) in enumerate(plan):
            layers = [nn.Conv2d(a, b, 4, stride, 2)]
            layers += [nn.BatchNorm2d(b)] if norm else []
            layers += [nn.LeakyReLU(0.2)] if norm is not None else []
            setattr(self, f"model{i}", nn.Sequential(*layers))

    def forward(self, x):
        maps = []
        for i in range(6):
            x = getattr(self, f"model{i}")(x)
            maps.append(x)
        return maps[-1], maps[:-1]


# --- losses -------------------------------------------------------------------------------------


def pixel_l1(predicted, image, mask, known, missing):
    return ((predicted - image).abs() * (mask * missing + (1 - mask) * known)).mean()


def latent_l1(refined, target):
    """refined, target: (local, global) tuples; one mean over all elements of both parts."""
    return F.l1_loss(torch.cat(refined, 1), torch.cat(target, 1))


def generator_adversarial(fake_logits):
    return F.softplus(-fake_logits).mean()


def feature_matching(fake_maps, real_maps):
    return torch.stack([F.mse_loss(a, b) for a, b in zip(fake_maps, real_maps)]).mean()


def r1_penalty(discriminator, image, coefficient):
    image = image.detach().requires_grad_(True)
    logits, _ = discriminator(image)
    (grad,) = torch.autograd.grad(logits.sum(), image, create_graph=True)
    return coefficient * grad.pow(2).reshape(grad.shape[0], -1).sum(1).mean()


def discriminator_adversarial(real_logits, fake_logits, mask):
    """Known pixels of the fake count as real; the mask is resized to the logits with 'nearest'."""
    m = F.interpolate(mask, size=fake_logits.shape[-2:], mode="nearest")
    fake = m * F.softplus(fake_logits) + (1 - m) * F.softplus(-fake_logits)
    return (F.softplus(-real_logits)).mean() + fake.mean()


# --- metrics ------------------------------------------------------------------------------------


def ssim(a, b):
    """Per image; 11x11 Gaussian, sigma 1.5, zero padding, mean over channels and pixels. [N]."""
    c = a.shape[1]
    t = torch.arange(11, dtype=a.dtype) - 5
    g = torch.exp(-(t**2) / (2 * 1.5**2))
    g = g / g.sum()
    window = torch.outer(g, g).expand(c, 1, 11, 11).contiguous()

    def blur(x):
        return F.conv2d(x, window, padding=5, groups=c)

    ma, mb = blur(a), blur(b)
    va, vb, cov = blur(a * a) - ma**2, blur(b * b) - mb**2, blur(a * b) - ma * mb
    top = (2 * ma * mb + 0.01**2) * (2 * cov + 0.03**2)
    bottom = (ma**2 + mb**2 + 0.01**2) * (va + vb + 0.03**2)
    return (top / bottom).mean(dim=(1, 2, 3))


def frechet_distance(a, b):
    """a, b: feature rows [N, D], float64. Exact through the eigenvalues of S1^(1/2) S2 S1^(1/2)."""
    mu1, mu2 = a.mean(0), b.mean(0)
    s1, s2 = torch.cov(a.T), torch.cov(b.T)
    val, vec = torch.linalg.eigh(s1)
    root = vec @ torch.diag(val.clamp_min(0).sqrt()) @ vec.T
    cross = torch.linalg.eigvalsh(root @ s2 @ root).clamp_min(0).sqrt().sum()
    return ((mu1 - mu2) ** 2).sum() + s1.trace() + s2.trace() - 2 * cross


def randomise(module, seed):
    """Non-trivial BN statistics and affine parameters, so that a mix-up of any of them shows."""
    g = torch.Generator().manual_seed(seed)
    for m in module.modules():
        if isinstance(m, nn.BatchNorm2d):
            for t, (lo, hi) in ((m.weight, (0.6, 1.4)), (m.bias, (-0.3, 0.3)),
                                (m.running_mean, (-0.3, 0.3)), (m.running_var, (0.4, 1.6))):
                with torch.no_grad():
                    t.copy_(torch.rand(t.shape, generator=g) * (hi - lo) + lo)
    return module

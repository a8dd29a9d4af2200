#!/usr/bin/env python3
"""Trains the default network with all of LaMa's losses on one NVIDIA GPU, for a given number of minutes.

    python tools/gpu/train.py --data pack --minutes 9.6 --out run
    lacuna model convert run/generator.safetensors default.safetensors --dtype f16

The networks and losses are those of oracle/oracle.py, which Lacuna's are compared with. Convolutions run in bfloat16,
Fourier transforms and losses in float32. One step (crops, masks, generator, discriminator) is one CUDA graph. First
every step sees crops of 128 pixels; from --large-from on, two of three steps see crops of 256.

OUT/generator.safetensors holds the averaged weights, OUT/net.safetensors and OUT/discriminator.safetensors the current
ones: --start FOLDER continues from these two, with fresh optimizers. OUT/log.jsonl and OUT/sheet.webp show progress.
`pack.py` writes FOLDER of --data. Needs: torch, numpy, pillow, safetensors.
"""

import argparse
import copy
import io
import json
import math
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "oracle"))
import oracle  # noqa: E402

STARTED = time.time()
SMALL, LARGE = 150, 288  # sides of packed photos
KNOWN, HOLE, PERCEPTUAL, ADVERSARIAL, MATCHING, R1 = 10.0, 2.0, 0.03, 10.0, 100.0, 1e-3  # weights of the losses
R1_EVERY = 8  # steps; its weight is multiplied by this
FOLLOW_EVERY = 4  # steps between two updates of the average
TERMS = ["pixel", "perceptual", "adversarial", "matching", "discriminator"]

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--data", type=Path, required=True)
parser.add_argument("--out", type=Path, required=True)
parser.add_argument("--start", type=Path, help="folder of an earlier run to continue from")
parser.add_argument("--minutes", type=float, default=9.6)
parser.add_argument("--steps", type=int, default=0, help="stop after so many steps, for trials; 0: by time alone")
parser.add_argument("--device", default="cuda")
parser.add_argument("--width", type=int, default=32)
parser.add_argument("--blocks", type=int, default=9)
parser.add_argument("--discriminator-width", type=int, default=64)
parser.add_argument("--side", type=int, default=128)
parser.add_argument("--batch", type=int, default=64, help="crops of --side a step")
parser.add_argument("--large-batch", type=int, default=16, help="crops of twice --side a step")
parser.add_argument("--large-from", type=float, default=0.55, help="fraction of the time after which large crops are seen")
parser.add_argument("--learning-rate", type=float, default=1e-3)
parser.add_argument("--discriminator-learning-rate", type=float, default=2e-4)
parser.add_argument("--warm-up", type=int, default=200, help="steps")
parser.add_argument("--decay-from", type=float, default=0.6, help="fraction of the time after which learning rates decay")
parser.add_argument("--last-rate", type=float, default=0.03, help="fraction of the learning rates that is left at the end")
parser.add_argument("--average", type=float, default=0.999, help="weight of the past in the averaged weights")
parser.add_argument("--log-seconds", type=float, default=15)
parser.add_argument("--save-seconds", type=float, default=120)
parser.add_argument("--margin", type=float, default=22, help="seconds kept for writing at the end")
parser.add_argument("--seed", type=int, default=1)
args = parser.parse_args()

device = torch.device(args.device)
on_gpu = device.type == "cuda"
torch.manual_seed(args.seed)
torch.backends.cudnn.benchmark = True
torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
args.out.mkdir(parents=True, exist_ok=True)


def half():
    return torch.autocast(device.type, dtype=torch.bfloat16)


def synchronize():
    if on_gpu:
        torch.cuda.synchronize()


def fourier_unit(self, x):
    """`oracle.FourierUnit.forward` with its transforms in float32 whatever autocast says."""
    n, c, h, w = x.shape
    spectrum = torch.fft.rfft2(x.float(), norm="ortho")
    parts = torch.stack((spectrum.real, spectrum.imag), 2).reshape(n, 2 * c, h, w // 2 + 1)
    parts = F.relu(self.bn(self.conv_layer(parts))).float().reshape(n, c, 2, h, w // 2 + 1)
    spectrum = torch.complex(parts[:, :, 0].contiguous(), parts[:, :, 1].contiguous())
    return torch.fft.irfft2(spectrum, s=(h, w), norm="ortho")


oracle.FourierUnit.forward = fourier_unit


# --- data ---------------------------------------------------------------------------------------


class Photos:
    """Square photos on the device: `pixels` [N, 3, canvas, canvas] as uint8, padded by their last row and column, and
    `sides` [N]."""

    def __init__(self, pixels, sides):
        self.pixels, self.sides = pixels, sides

    @classmethod
    def read(cls, paths, canvas):
        blobs = []
        for path in paths:
            packed = np.load(path)
            raw, ends = packed["bytes"].tobytes(), packed["ends"]
            blobs += [raw[start:end] for start, end in zip([0, *ends[:-1]], ends)]

        def decode(blob):
            pixels = np.asarray(Image.open(io.BytesIO(blob)).convert("RGB"))
            side = min(pixels.shape[:2])
            pad = (0, canvas - side)
            return np.pad(pixels[:side, :side], (pad, pad, (0, 0)), mode="edge").transpose(2, 0, 1), side

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            pixels, sides = zip(*pool.map(decode, blobs))
        return cls(torch.from_numpy(np.stack(pixels)).to(device), torch.tensor(sides, dtype=torch.float32, device=device))

    def halved(self, canvas):
        """At half the scale, on a larger canvas."""
        pad = canvas - self.pixels.shape[-1] // 2
        parts = [F.pad(F.avg_pool2d(p.float(), 2), (0, pad, 0, pad), mode="replicate") for p in self.pixels.split(256)]
        return Photos(torch.cat([p.round().byte() for p in parts]), (self.sides / 2).floor())

    def and_also(self, other):
        return Photos(torch.cat([self.pixels, other.pixels]), torch.cat([self.sides, other.sides]))

    def crops(self, n, side, smallest, exact, turn):
        """n crops [n, 3, side, side] in [0, 1]: square windows of `smallest` to 1 of a photo's side, turned by about
        `turn` radians, mirrored. A fraction `exact` is cut out without resampling where the photo is large enough."""
        canvas = self.pixels.shape[-1]
        index = torch.randint(len(self.pixels), (n,), device=device)
        pixels, size = self.pixels[index].float() / 255, self.sides[index]
        window = size * uniform(n, smallest, 1.0)
        cut = (torch.rand(n, device=device) < exact) & (size >= side)
        window = torch.where(cut, torch.full_like(window, side), window)
        left, top = ((size - window) * torch.rand(n, device=device) for _ in range(2))
        left, top = torch.where(cut, left.round(), left), torch.where(cut, top.round(), top)
        x, y = (left + window / 2) * 2 / canvas - 1, (top + window / 2) * 2 / canvas - 1
        angle = torch.where(cut, 0.0, torch.randn(n, device=device) * turn)
        squeeze = torch.where(cut, 1.0, uniform(n, 0.9, 1.0))
        mirror = torch.where(torch.rand(n, device=device) < 0.5, -1.0, 1.0)
        wide, high = window / canvas * squeeze * mirror, window / canvas
        rows = [torch.stack([wide * angle.cos(), -high * angle.sin(), x], 1),
                torch.stack([wide * angle.sin(), high * angle.cos(), y], 1)]
        grid = F.affine_grid(torch.stack(rows, 1), (n, 3, side, side), align_corners=False)
        return F.grid_sample(pixels, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def uniform(n, low, high):
    return torch.rand(n, device=device) * (high - low) + low


def holes(masks, n, side):
    """[n, 1, side, side], 1 = hole: masks mirrored and transposed at random; a quarter is the union of two."""

    def drawn():
        hole = masks[torch.randint(len(masks), (n,), device=device)].float()
        for change in (lambda m: m.transpose(-1, -2), lambda m: m.flip(-2), lambda m: m.flip(-1)):
            hole = torch.where(torch.rand(n, 1, 1, 1, device=device) < 0.5, change(hole), hole)
        return hole

    two = (torch.rand(n, 1, 1, 1, device=device) < 0.25).float()
    hole = torch.maximum(drawn(), drawn() * two)
    return hole if hole.shape[-1] == side else (F.interpolate(hole, (side, side), mode="area") > 0.5).float()


large = Photos.read(sorted(args.data.glob("large*.npz")), LARGE)
small = Photos.read(sorted(args.data.glob("small*.npz")), SMALL).and_also(large.halved(SMALL))
held_out = Photos.read([args.data / "held.npz"], LARGE)
masks_256 = torch.from_numpy(np.unpackbits(np.load(args.data / "masks.npz")["bits"], axis=1)).reshape(-1, 1, 256, 256).to(device)
masks_128 = torch.cat([(F.avg_pool2d(m.float(), 2) > 0.5).byte() for m in masks_256.split(256)])
print(f"{len(small.pixels)} small photos, {len(large.pixels)} large, {len(masks_256)} masks, {time.time() - STARTED:.0f} s", flush=True)


def batch(kind):
    """image [B, 3, S, S] in [0, 1] and mask [B, 1, S, S], 1 = hole."""
    if kind == "small":
        at_own_scale = args.batch // 4
        image = torch.cat([small.crops(args.batch - at_own_scale, args.side, 0.62, 0.2, 0.04),
                           large.crops(at_own_scale, args.side, 0.45, 0.7, 0.0)])
        mask = holes(masks_128, args.batch, args.side)
    else:
        image = large.crops(args.large_batch, 2 * args.side, 0.8, 0.6, 0.0)
        mask = holes(masks_256, args.large_batch, 2 * args.side)
    n = len(image)
    gain = 1 + torch.randn(n, 3, 1, 1, device=device) * 0.02 + torch.randn(n, 1, 1, 1, device=device) * 0.1
    image = (image * gain + torch.randn(n, 1, 1, 1, device=device) * 0.02).clamp(0, 1)
    return image.contiguous(memory_format=torch.channels_last), mask.contiguous()


# --- networks -----------------------------------------------------------------------------------


class Inpainter(nn.Module):
    """LaMa's generator with the thesis's mask control."""

    def __init__(self):
        super().__init__()
        self.generator, self.control = oracle.Generator(3, args.width, args.blocks), oracle.MaskControl(args.width)

    def forward(self, image, mask):
        latent = self.generator.encode(image * (1 - mask), self.control(mask))
        return self.generator.decode(self.generator.refine(latent)).float()

    def tensors(self):
        """With the names of public checkpoints."""
        return {"generator." + name: value for name, value in self.generator.state_dict().items()} | self.control.state_dict()

    def read(self, path):
        file = {name: value.float() for name, value in load_file(path).items()}
        inside = "generator."
        self.generator.load_state_dict({n[len(inside):]: v for n, v in file.items() if n.startswith(inside)}, strict=False)
        self.control.load_state_dict({n: v for n, v in file.items() if not n.startswith(inside)}, strict=False)
        missing = {n for n in self.tensors() if "num_batches" not in n} - file.keys()
        if missing:
            sys.exit(f"{path} lacks {len(missing)} tensors, such as {min(missing)}")


class Vgg16(nn.Module):
    """VGG16 to the end of its fourth stage, which is dilated instead of pooled; one output a stage."""

    def __init__(self, path):
        super().__init__()
        weights, self.stages, index = load_file(path), nn.ModuleList(), 0
        for stage, count in enumerate((2, 2, 3, 3)):
            layers = [nn.MaxPool2d(2)] if stage in (1, 2) else []
            index += stage > 0
            dilation = 2 if stage == 3 else 1
            for _ in range(count):
                kernel = weights[f"features.{index}.weight"].float() * weights[f"features.{index}.weight.scale"].view(-1, 1, 1, 1)
                layer = nn.Conv2d(kernel.shape[1], kernel.shape[0], 3, padding=dilation, dilation=dilation)
                layer.weight.data, layer.bias.data = kernel, weights[f"features.{index}.bias"].float()
                layers += [layer, nn.ReLU()]
                index += 2
            self.stages.append(nn.Sequential(*layers))
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))
        self.requires_grad_(False).eval()

    def forward(self, x):
        x, outputs = (x - self.mean) / self.deviation, []
        for stage in self.stages:
            x = stage(x)
            outputs.append(x)
        return outputs


def prepared(module):
    return module.to(device, memory_format=torch.channels_last)


net, discriminator = Inpainter(), oracle.Discriminator(args.discriminator_width)
if args.start:
    net.read(args.start / "net.safetensors")
    file = load_file(args.start / "discriminator.safetensors")
    discriminator.load_state_dict({name: value.float() for name, value in file.items()}, strict=False)
net, discriminator = prepared(net).train(), prepared(discriminator).train()
average = copy.deepcopy(net).eval().requires_grad_(False)
vgg = prepared(Vgg16(args.data / "vgg8.safetensors"))
rate, discriminator_rate = torch.zeros((), device=device), torch.zeros((), device=device)
options = {"fused": True, "capturable": True} if on_gpu else {}
optimizer = torch.optim.Adam(net.parameters(), lr=rate, **options)
discriminator_optimizer = torch.optim.Adam(discriminator.parameters(), lr=discriminator_rate, **options)
sums = torch.zeros(len(TERMS), device=device)


# --- training -----------------------------------------------------------------------------------


def step(kind, with_r1):
    image, mask = batch(kind)
    with half():
        predicted = net(image, mask)
        with torch.no_grad():
            wanted = vgg(image)
        features = vgg(predicted)
    pixel = oracle.pixel_l1(predicted, image, mask, KNOWN, HOLE)
    perceptual = PERCEPTUAL * sum(F.mse_loss(f.float(), w.float()) for f, w in zip(features, wanted))
    discriminator.requires_grad_(False)
    with half():
        logits, maps = discriminator(predicted)
        with torch.no_grad():
            _, real_maps = discriminator(image)
    discriminator.requires_grad_(True)
    adversarial = ADVERSARIAL * oracle.generator_adversarial(logits.float())
    matching = MATCHING * oracle.feature_matching([m.float() for m in maps], [m.float() for m in real_maps])
    optimizer.zero_grad(set_to_none=True)
    (pixel + perceptual + adversarial + matching).backward()
    nn.utils.clip_grad_norm_(net.parameters(), 10.0, foreach=True)
    optimizer.step()

    discriminator_optimizer.zero_grad(set_to_none=True)
    with half():
        real, _ = discriminator(image)
        fake, _ = discriminator(predicted.detach())
    loss = oracle.discriminator_adversarial(real.float(), fake.float(), mask)
    (loss + (R1_EVERY * oracle.r1_penalty(discriminator, image, R1) if with_r1 else 0)).backward()
    discriminator_optimizer.step()
    sums.add_(torch.stack([pixel, perceptual, adversarial, matching, loss]).detach())


captured = {}


def run_step(kind, with_r1):
    """On a GPU the replay of a CUDA graph of the step, captured after three steps that warm it up."""
    if not on_gpu:
        return step(kind, with_r1)
    if (kind, with_r1) not in captured:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                step(kind, with_r1)
        torch.cuda.current_stream().wait_stream(stream)
        torch.cuda.synchronize()
        optimizer.zero_grad(set_to_none=True)
        discriminator_optimizer.zero_grad(set_to_none=True)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step(kind, with_r1)
        captured[kind, with_r1] = graph
    captured[kind, with_r1].replay()


def state():
    """All tensors that a step changes."""
    tensors = [t for module in (net, discriminator) for t in (*module.parameters(), *module.buffers())]
    moments = [t for o in (optimizer, discriminator_optimizer) for slot in o.state.values() for t in slot.values()]
    return tensors + moments


def floats(module):
    return [t.detach() for t in (*module.parameters(), *module.buffers()) if t.is_floating_point()]


def save(name, tensors):
    tensors = {k: v.detach().half().contiguous().cpu() for k, v in tensors.items() if "num_batches" not in k}
    save_file(tensors, args.out / (name + ".tmp"))
    os.replace(args.out / (name + ".tmp"), args.out / (name + ".safetensors"))


def log(row):
    print(json.dumps(row), flush=True)
    with open(args.out / "log.jsonl", "a") as file:
        print(json.dumps(row), file=file)


@torch.no_grad()
def validate():
    """L1 in the hole and distance of VGG16's features over the held-out photos, scaled to --side, in fixed holes."""
    generator, l1, distance, shown = torch.Generator().manual_seed(7), 0.0, 0.0, []
    for pixels, sides in zip(held_out.pixels.split(50), held_out.sides.split(50)):
        whole = [p[None, :, : int(s), : int(s)].float() / 255 for p, s in zip(pixels, sides)]
        image = torch.cat([F.interpolate(p, (args.side, args.side), mode="area") for p in whole])
        mask = masks_128[torch.randint(len(masks_128), (len(image),), generator=generator).to(device)].float()
        mask = (F.interpolate(mask, image.shape[-2:], mode="area") > 0.5).float()
        with half():
            fill = mask * average(image, mask) + (1 - mask) * image
            features, wanted = vgg(fill), vgg(image)
        l1 += ((fill - image).abs().mean((1, 2, 3)) / mask.mean((1, 2, 3))).sum().item()
        distance += sum(F.mse_loss(f.float(), w.float(), reduction="sum").item() / f[0].numel() for f, w in zip(features, wanted))
        shown.append(torch.cat([image * (1 - mask) + 0.9 * mask, fill, image], 3))
    shown = torch.cat(shown)[:: max(1, len(held_out.pixels) // 48)]
    rows = min(8, len(shown))
    sheet = torch.cat([torch.cat(list(shown[i : i + rows]), 1) for i in range(0, len(shown) - rows + 1, rows)], 2)
    sheet = (sheet.clamp(0, 1) * 255).byte().permute(1, 2, 0).cpu().numpy()
    Image.fromarray(sheet).save(args.out / "sheet.webp", quality=85)
    return {"l1": round(l1 / len(held_out.pixels), 5), "vgg": round(distance / len(held_out.pixels), 4)}


def train():
    began, end = time.time(), STARTED + 60 * args.minutes - args.margin
    count, crops, good, slower = 0, 0, None, 1.0
    logged, saved, since = began, began, 0
    while time.time() < end and not (args.steps and count >= args.steps):
        done = max((time.time() - began) / max(1.0, end - began), count / args.steps if args.steps else 0.0)
        factor = slower * min(1.0, (count + 1) / args.warm_up)
        if done > args.decay_from:
            part = min(1.0, (done - args.decay_from) / (1 - args.decay_from))
            factor *= args.last_rate + (1 - args.last_rate) * 0.5 * (1 + math.cos(math.pi * part))
        rate.fill_(args.learning_rate * factor)
        discriminator_rate.fill_(args.discriminator_learning_rate * factor)
        kind = "large" if done > args.large_from and count % 3 else "small"
        run_step(kind, count % R1_EVERY == 0)
        crops += args.batch if kind == "small" else args.large_batch
        count, since = count + 1, since + 1
        if count % FOLLOW_EVERY == 0:
            keep = min(args.average, (1 + count) / (10 + count)) ** FOLLOW_EVERY
            torch._foreach_lerp_(floats(average), floats(net), 1 - keep)
            synchronize()
        if time.time() - logged < args.log_seconds:
            continue
        synchronize()
        means = sums / since
        if not torch.isfinite(means).all():
            slower /= 2
            print(f"step {count}: a loss is not finite: {means.tolist()}; back to the last good state", flush=True)
            if good is None or slower < 0.05:
                sys.exit("training diverged")
            for tensor, value in zip(state(), good):
                tensor.data.copy_(value)
        else:
            good = [tensor.detach().clone() for tensor in state()]
            row = {"step": count, "seconds": round(time.time() - STARTED, 1), "ms": round(1000 * (time.time() - logged) / since, 1)}
            row |= {"factor": round(factor, 3)} | {term: round(value, 4) for term, value in zip(TERMS, means.tolist())}
            if time.time() - saved > args.save_seconds:
                row |= validate()
                save("generator", average.tensors())
                saved = time.time()
            log(row)
        sums.zero_()
        logged, since = time.time(), 0
    synchronize()
    save("generator", average.tensors())
    save("net", net.tensors())
    save("discriminator", discriminator.state_dict())
    device_name = torch.cuda.get_device_name() if on_gpu else "cpu"
    log({"step": count, "crops": crops, "seconds": round(time.time() - began, 1), **validate(), "device": device_name})


train()

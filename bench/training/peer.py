#!/usr/bin/env python3
"""Time of whole training steps in PyTorch eager, with the networks of oracle/oracle.py; prints one line of JSON.

The same networks, losses, batch and optimizer as Lacuna's run file of the same name: Adam 1e-3, gradients clipped to norm
1, BatchNorm in train mode where it learns and in eval mode where it is frozen. Runs on the CPU or, with --device cuda,
with TF32.
"""

import argparse
import json
import pathlib
import resource
import statistics
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent / "oracle"))
import oracle  # noqa: E402

STAGES = (2, 2, 3, 3, 3)
WIDTHS = (64, 128, 256, 512, 512)


class Vgg(nn.Module):
    """Outputs behind the last ReLU of each stage; the last two stages dilated instead of pooled."""

    def __init__(self):
        super().__init__()
        self.stages = nn.ModuleList()
        channels = 3
        for stage, (count, width) in enumerate(zip(STAGES, WIDTHS)):
            dilation = (1, 1, 1, 2, 4)[stage]
            layers = [nn.MaxPool2d(2)] if 0 < stage < 3 else []
            for _ in range(count):
                layers += [nn.Conv2d(channels, width, 3, padding=dilation, dilation=dilation), nn.ReLU()]
                channels = width
            self.stages.append(nn.Sequential(*layers))
        self.requires_grad_(False)
        mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
        self.register_buffer("mean", torch.tensor(mean).reshape(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor(deviation).reshape(1, 3, 1, 1))

    def forward(self, image):
        x, features = (image - self.mean) / self.deviation, []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


def freeze(module):
    module.eval().requires_grad_(False)


class Step:
    """One training step of a run file."""

    def __init__(self, name, width, blocks, device):
        alpha = name in ("pixel", "latent", "full")
        self.name = name
        self.net = oracle.Generator(inputs=4 if alpha else 3, width=width, blocks=blocks).to(device).train()
        self.control = None if alpha or name == "autoencoder" else oracle.MaskControl(width).to(device).train()
        learning = [self.net] + ([self.control] if self.control else [])
        if name == "autoencoder":
            freeze(self.net.model[5 : 5 + blocks])
        if name in ("pixel-control", "latent", "latent-control", "full-control-latent"):
            freeze(self.net.model[:5])
            freeze(self.net.model[5 + blocks :])
            if name == "latent":
                self.net.model[1].ffc.convl2l.weight.requires_grad_(True)
        if "latent" in name:
            self.target = oracle.Generator(inputs=3, width=width, blocks=1).to(device)
            freeze(self.target)
        self.parameters = [p for m in learning for p in m.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(self.parameters, lr=1e-3)
        self.average = [p.detach().clone() for p in self.parameters]
        if name.startswith("full"):
            self.judge = oracle.Discriminator(64).to(device).train()
            self.judge_optimizer = torch.optim.Adam(self.judge.parameters(), lr=1e-4)
            self.vgg = Vgg().to(device)

    def features(self, image, mask):
        if self.name == "autoencoder":
            return self.net.encode(image)
        masked = image * (1 - mask)
        x = torch.cat([masked, mask], 1) if self.net.inputs == 4 else masked
        return self.net.refine(self.net.encode(x, self.control(mask) if self.control else None))

    def loss(self, image, mask):
        features, total = self.features(image, mask), 0
        if self.name in ("latent", "latent-control", "full-control-latent"):
            with torch.no_grad():
                target = self.target.encode(image)
            weight = 1e-3 if self.name.startswith("full") else 1
            total = total + weight * oracle.latent_l1(features, target)
        if self.name in ("latent", "latent-control"):
            return total, None
        predicted = self.net.decode(features)
        if self.name == "autoencoder":
            return F.mse_loss(predicted, image), None
        if not self.name.startswith("full"):
            return total + oracle.pixel_l1(predicted, image, mask, 1, 1), None
        total = total + oracle.pixel_l1(predicted, image, mask, 10, 0)
        with torch.no_grad():
            wanted = self.vgg(image)
        total = total + 0.03 * sum(F.mse_loss(a, b) for a, b in zip(self.vgg(predicted), wanted))
        self.judge.requires_grad_(False)
        logits, maps = self.judge(predicted)
        with torch.no_grad():
            _, real_maps = self.judge(image)
        self.judge.requires_grad_(True)
        total = total + 10 * oracle.generator_adversarial(logits) + 100 * oracle.feature_matching(maps, real_maps)
        return total, predicted.detach()

    def run(self, image, mask):
        self.optimizer.zero_grad(set_to_none=True)
        loss, predicted = self.loss(image, mask)
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        if predicted is not None:
            self.judge_optimizer.zero_grad(set_to_none=True)
            real = image.clone().requires_grad_(True)
            logits, _ = self.judge(real)
            (gradient,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
            penalty = 1e-3 * gradient.pow(2).sum() / len(image)
            fake_logits, _ = self.judge(predicted)
            (penalty + oracle.discriminator_adversarial(logits, fake_logits, mask)).backward()
            nn.utils.clip_grad_norm_(self.judge.parameters(), 1.0)
            self.judge_optimizer.step()
        torch._foreach_lerp_(self.average, [p.detach() for p in self.parameters], 1e-3)
        return loss.item()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--blocks", type=int, default=9)
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.manual_seed(1)
    step = Step(arguments.name, arguments.width, arguments.blocks, arguments.device)
    layout = torch.channels_last if arguments.channels_last else torch.contiguous_format
    for module in (step.net, step.control, getattr(step, "judge", None), getattr(step, "vgg", None)):
        if module is not None:
            module.to(memory_format=layout)
    times = []
    for index in range(2 + arguments.steps):
        image = torch.rand(arguments.batch, 3, arguments.side, arguments.side, device=arguments.device)
        mask = (torch.rand(arguments.batch, 1, arguments.side, arguments.side, device=arguments.device) < 0.3).float()
        image = image.to(memory_format=layout)
        start = time.perf_counter()
        step.run(image, mask)
        if index >= 2:
            times.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if arguments.device != "cpu":
        peak = torch.cuda.max_memory_allocated()
    times.sort()
    print(json.dumps({"p50_s": statistics.median(times), "p95_s": times[int(0.95 * (len(times) - 1))], "peak_bytes": peak}))


if __name__ == "__main__":
    main()

"""Times training steps of four small nets in PyTorch, on the CPU or on an NVIDIA card.

    python torch_step.py --threads 1 --nets resnet8,dscnn,mlp800,mlp1200 --seconds 3 [--device cuda]

A step is forward, cross-entropy, backward, AdamW and zeroing the gradients, on one random batch
that lies in memory.
Prints a JSON object a line for each net: "ms" is the fastest step, "median_ms" the median, both in
milliseconds; "parameters" counts what is trained, so not the running statistics of batch
normalisation. Convolutional nets run in the faster of two memory formats; the object names it, and
what the trial of each took goes to stderr.
"""

import argparse
import json
import statistics
import sys
import time
import warnings

warnings.filterwarnings("ignore", message="Failed to initialize NumPy")  # NumPy is not needed here

import torch  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

WARM_UP_STEPS = 10
TRIAL_SECONDS = 1.0


class SameConv(nn.Conv2d):
    """A convolution with SAME padding as TensorFlow does it: an odd row or column comes after."""

    def __init__(self, before, after, kernel, stride, size, groups=1, bias=False):
        pads = []  # left, right, top, bottom
        for length, window in zip(reversed(size), reversed(kernel)):
            total = max((-(-length // stride) - 1) * stride + window - length, 0)
            pads += [total // 2, total - total // 2]
        # Even padding goes into the convolution, where it costs nothing.
        even = pads[0] == pads[1] and pads[2] == pads[3]
        padding = (pads[2], pads[0]) if even else 0
        super().__init__(before, after, kernel, stride, padding, groups=groups, bias=bias)
        self.pads = None if even else pads

    def forward(self, x):
        return super().forward(x if self.pads is None else functional.pad(x, self.pads))


def normed(conv, activation=True):
    """Returns a convolution, batch normalisation and, unless it is left out, ReLU."""
    layers = [conv, nn.BatchNorm2d(conv.out_channels)]
    return nn.Sequential(*layers, nn.ReLU(inplace=True)) if activation else nn.Sequential(*layers)


class Gather(nn.Module):
    """The average over height and width."""

    def forward(self, x):
        return x.mean((2, 3))


class Residual(nn.Module):
    """A block of ResNet-8; its input is a square of the given side."""

    def __init__(self, before, after, stride, side):
        super().__init__()
        inner = (side // stride, side // stride)
        self.block = nn.Sequential(
            normed(SameConv(before, after, (3, 3), stride, (side, side))),
            normed(SameConv(after, after, (3, 3), 1, inner), activation=False),
        )
        self.shortcut = nn.Identity() if stride == 1 else nn.Conv2d(before, after, 1, stride)

    def forward(self, x):
        return functional.relu(self.block(x) + self.shortcut(x), inplace=True)


def resnet8():
    """MLPerf Tiny's ResNet-8 for images of 32x32x3."""
    return nn.Sequential(
        normed(SameConv(3, 16, (3, 3), 1, (32, 32))),
        Residual(16, 16, 1, 32),
        Residual(16, 32, 2, 32),
        Residual(32, 64, 2, 16),
        Gather(),
        nn.Linear(64, 10),
    )


def dscnn(width=64):
    """MLPerf Tiny's DS-CNN for spectrograms of 49x10."""
    layers = [normed(SameConv(1, width, (10, 4), 2, (49, 10)))]
    for _ in range(4):
        layers.append(normed(SameConv(width, width, (3, 3), 1, (25, 5), groups=width)))
        layers.append(normed(SameConv(width, width, (1, 1), 1, (25, 5))))
    return nn.Sequential(*layers, Gather(), nn.Linear(width, 12))


def mlp(width):
    """A perceptron with two hidden layers for images of 28x28."""
    return nn.Sequential(
        nn.Linear(784, width),
        nn.ReLU(inplace=True),
        nn.Linear(width, width),
        nn.ReLU(inplace=True),
        nn.Linear(width, 10),
    )


# Net, shape of a batch, classes.
NETS = {
    "resnet8": (resnet8, (64, 3, 32, 32), 10),
    "dscnn": (dscnn, (64, 1, 49, 10), 12),
    "mlp800": (lambda: mlp(800), (128, 784), 10),
    "mlp1200": (lambda: mlp(1200), (128, 784), 10),
}


# Unless told otherwise, AdamW loops over the parameters on the CPU. fused=True is the fastest that
# PyTorch offers: it takes up to 20 % off the perceptrons' steps against the loop and foreach=True;
# the convolutional nets have few parameters and show no difference above the noise (2.15.0, Zen 4,
# one thread and two).
ADAMW = {"lr": 1e-3, "weight_decay": 0.01, "fused": True}
FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


def training(name, memory, device):
    """Returns a function that makes one training step, and the number of parameters trained."""
    torch.manual_seed(1)
    make, shape, classes = NETS[name]
    net = make().train().to(device)
    x, labels = torch.randn(shape).to(device), torch.randint(classes, shape[:1]).to(device)
    if len(shape) == 4:
        net, x = net.to(memory_format=FORMATS[memory]), x.to(memory_format=FORMATS[memory])
    adamw = torch.optim.AdamW(net.parameters(), **ADAMW)

    def step():
        functional.cross_entropy(net(x), labels).backward()
        adamw.step()
        adamw.zero_grad(set_to_none=True)
        if device == "cuda":
            torch.cuda.synchronize()

    return step, sum(p.numel() for p in net.parameters())


def measure(step, seconds):
    """Returns the times, in milliseconds, of the steps made in so many seconds after a warm-up."""
    for _ in range(WARM_UP_STEPS):
        step()
    times = []
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        step()
        times.append((time.perf_counter() - start) * 1e3)
    return times


def faster_format(name, device):
    """Returns the memory format with the faster step in a short trial of both."""
    if len(NETS[name][1]) != 4:
        return "contiguous"
    trials = {memory: min(measure(training(name, memory, device)[0], TRIAL_SECONDS)) for memory in FORMATS}
    took = ", ".join(f"{memory} {ms:.3f} ms" for memory, ms in trials.items())
    print(f"{name}: {took}", file=sys.stderr)
    return min(trials, key=trials.get)


def main():
    parser = argparse.ArgumentParser(description="Times training steps in PyTorch.")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--nets", default=",".join(NETS), help="names with commas between")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each net, after warm-up")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    args = parser.parse_args()
    names = args.nets.split(",")
    if unknown := [name for name in names if name not in NETS]:
        parser.error(f"no such net: {', '.join(unknown)}; there are {', '.join(NETS)}")

    torch.set_num_threads(args.threads)
    torch.set_num_interop_threads(1)
    for name in names:
        memory = faster_format(name, args.device)
        step, parameters = training(name, memory, args.device)
        times = measure(step, args.seconds)
        result = {
            "net": name,
            "batch": NETS[name][1][0],
            "threads": args.threads,
            "device": args.device,
            "parameters": parameters,
            "torch": torch.__version__,
            "ms": round(min(times), 3),
            "median_ms": round(statistics.median(times), 3),
            "memory_format": memory,
        }
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()

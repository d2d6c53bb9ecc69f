"""The trainer's work on data, compared with nnU-Net 2.8.1 doing the same, in one process on one thread.

    .venvs/bench/bin/python tests/benchmarks/trainer.py [NAME ...]

(images)    resampling a 512 x 512 x 200 CT          at least 8 times as fast, within 0.01 HU
(labels)    the same of its 14 labels                at least 100 times, no voxel different
(patches)   a 128 cubed patch, loaded and augmented  at most 90 ms, at least 8 times as fast
(crop)      the same as it is, warm                  at most 4 times a copy of its bytes
(loss)      deep supervision                         at least 3 times as fast as on enlarged heads, equal within 1e-6
(waiting)   an epoch with one loader thread          at most 1.05 times the same steps on ready batches
(export)    scores of 15 classes to native labels    at least 5 times, no voxel different
(memory)    stripes of a 512 x 512 x 300 image       at most 1.3 GB over image and result

CPU times, alternating where both are short: the machine may have other things to do. Data are synthetic.
"""

import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from timing import medians, timed

warnings.filterwarnings("ignore", message="Warning: Received empty chunks")  # of nnU-Net's, about its own sizes

from trainerdata import CASES, NATIVE, NATIVE_MM, ORGANS, PATCH, STORED, STORED_MM, ct, our_sampler, their_loader  # noqa: E402, I001 - makes the tools importable

from dynunet_trainer import windows  # noqa: E402
from dynunet_trainer.loading import batches  # noqa: E402
from dynunet_trainer.loss import deep_supervision_loss  # noqa: E402
from dynunet_trainer.network import build_network, compute_outputs  # noqa: E402
from dynunet_trainer.resample import highest_channel, resample_image, resample_labels  # noqa: E402

Check = tuple[str, str, bool | None]
"""What was measured, the figures, and whether the goal is met; None where there is none."""


def main(names: list[str]) -> int:
    """Measure; 1 where a goal is not met."""
    torch.set_num_threads(1)
    missed = False
    for name in names or list(BENCHMARKS):
        for what, figures, met in BENCHMARKS[name]():
            verdict = "" if met is None else "   met" if met else "   NOT MET"
            sys.stdout.write(f"{name:<9} {what:<52} {figures}{verdict}\n")
            sys.stdout.flush()
            missed |= met is False
    return int(missed)


def images() -> list[Check]:
    """Cubic splines."""
    from nnunetv2.preprocessing.resampling.default_resampling import resample_data_or_seg_to_shape

    image = ct(NATIVE, 0)[0]
    resample_image(image[:32, :32, :16], (29, 29, 21))  # torch's first call
    ours, own_s = timed(lambda: resample_image(image, STORED))
    theirs, their_s = timed(
        lambda: (
            resample_data_or_seg_to_shape(
                image.T[None].astype(np.float32), STORED[::-1], NATIVE_MM[::-1], STORED_MM[::-1], False, 3, 0, None
            )[0].T
        )
    )
    clipped = (np.clip(volume, -1000, 1000) for volume in (ours, theirs))
    away = float(np.abs(np.subtract(*clipped)).max())
    return [
        ("512x512x200 to 461x461x267: ours, nnU-Net", f"{own_s:.2f} s, {their_s:.2f} s", None),
        ("times as fast", f"{their_s / own_s:.1f}   goal >= 8", their_s / own_s >= 8),
        ("largest difference after clipping, HU", f"{away:.4f}   goal <= 0.01", away <= 0.01),
    ]


def labels() -> list[Check]:
    """Each label's share, interpolated linearly."""
    from nnunetv2.preprocessing.resampling.default_resampling import resample_data_or_seg_to_shape

    native = ct(NATIVE, 0)[1]
    resample_labels(native[:8, :8, :8], (7, 7, 10))  # compiles
    ours, own_s = timed(lambda: resample_labels(native, STORED))
    theirs, their_s = timed(
        lambda: (
            resample_data_or_seg_to_shape(
                native.T[None], STORED[::-1], NATIVE_MM[::-1], STORED_MM[::-1], True, 1, 0, None
            )[0].T
        )
    )
    other = np.argwhere(ours != theirs)
    holes = sum(max(shares(native, place, STORED).values()) < 0.5 for place in other)
    return [
        ("14 labels, the same: ours, nnU-Net", f"{own_s:.2f} s, {their_s:.2f} s", None),
        ("times as fast", f"{their_s / own_s:.0f}   goal >= 100", their_s / own_s >= 100),
        ("voxels where no label has half: a hole in nnU-Net's", str(holes), None),
        (f"other voxels of {ours.size / 1e6:.0f} M that differ", f"{len(other) - holes}   goal 0", len(other) == holes),
    ]


def shares(labels: NDArray[np.uint8], place: NDArray[np.int64], shape: tuple[int, ...]) -> dict[int, float]:
    """How much of a voxel of another grid each label has, by linear interpolation in double precision."""
    shares_of_labels: dict[int, float] = {}
    position = [min(max((i + 0.5) * n / m - 0.5, 0), n - 1) for i, n, m in zip(place, labels.shape, shape, strict=True)]
    for corner in np.ndindex(2, 2, 2):
        voxel = tuple(min(int(a) + c, n - 1) for a, c, n in zip(position, corner, labels.shape, strict=True))
        weight = np.prod([a % 1 if c else 1 - a % 1 for a, c in zip(position, corner, strict=True)])
        label = int(labels[voxel])
        shares_of_labels[label] = shares_of_labels.get(label, 0.0) + float(weight)
    return shares_of_labels


def patches() -> list[Check]:
    """Loading and augmentation, end to end; both draw what they do to a patch, so many are needed, and they take turns."""
    rounds, count = 10, 20
    own_s, their_s = 0.0, 0.0
    np.random.seed(0)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = our_sampler(Path(folder), augmented=True), their_loader(Path(folder))
        ours.patch(0), next(theirs)
        for first in range(0, rounds * count, count):
            own_s += timed(lambda first=first: [ours.patch(first + k) for k in range(count)])[1]
            their_s += timed(lambda: [next(theirs) for _ in range(count // 2)])[1]  # batches of two
    own_ms, their_ms = (seconds / (rounds * count) * 1000 for seconds in (own_s, their_s))
    return [
        (
            f"{rounds * count} of 128 cubed, loaded and augmented: ours, nnU-Net",
            f"{own_ms:.0f} ms, {their_ms:.0f} ms",
            None,
        ),
        ("ours, ms", f"{own_ms:.0f}   goal <= 90", own_ms <= 90),
        ("times as fast", f"{their_ms / own_ms:.1f}   goal >= 8", their_ms / own_ms >= 8),
    ]


def crop() -> list[Check]:
    """What a patch costs when nothing is done to it: image and labels."""
    with tempfile.TemporaryDirectory() as folder:
        sampler = our_sampler(Path(folder), augmented=False)
        sizes = np.zeros(PATCH, np.float32), np.zeros(PATCH, np.uint8)
        for k in range(3 * CASES):
            sampler.patch(k)
        copied, cut = medians(
            15, lambda: [a.copy() for a in sizes * CASES], lambda: [sampler.patch(k) for k in range(CASES)]
        )
    return [
        (
            "128 cubed, warm: ours, a copy of its bytes",
            f"{cut / CASES * 1000:.2f} ms, {copied / CASES * 1000:.2f} ms",
            None,
        ),
        ("times a copy", f"{cut / copied:.1f}   goal <= 4", cut / copied <= 4),
    ]


def loss() -> list[Check]:
    """Deep supervision at each head's own size, beside heads enlarged to full size."""
    from monai.losses.dice import DiceCELoss

    torch.manual_seed(0)
    heads = [torch.randn(2, 16, *(64 // 2**i,) * 3, requires_grad=True) for i in range(4)]
    truth = torch.randint(0, 16, (2, 64, 64, 64))
    channels = truth.to(torch.uint8)  # what a batch holds
    of_monai = DiceCELoss(to_onehot_y=True, softmax=True, batch=False)

    def plain() -> torch.Tensor:
        full = [torch.nn.functional.interpolate(head, size=(64, 64, 64), mode="nearest") for head in heads]
        return torch.stack([0.5**i * of_monai(head, truth[:, None]) for i, head in enumerate(full)]).sum()

    def ours() -> torch.Tensor:
        return deep_supervision_loss(heads, channels)

    away = abs(plain().item() - ours().item()) / plain().item()
    their_s, own_s = medians(3, lambda: plain().backward(), lambda: ours().backward())
    return [
        ("64 cubed, 16 classes, 4 heads: ours, plain", f"{own_s:.2f} s, {their_s:.2f} s", None),
        ("times as fast", f"{their_s / own_s:.1f}   goal >= 3", their_s / own_s >= 3),
        ("relative difference", f"{away:.1e}   goal <= 1e-6", away <= 1e-6),
    ]


def waiting() -> list[Check]:
    """Steps of a network on the CPU, with batches that one loader thread makes meanwhile, and with ready ones."""
    with tempfile.TemporaryDirectory() as folder:
        sampler = our_sampler(Path(folder), augmented=True, patch=(64, 64, 64))
        network = build_network(sampler.store.plan, ORGANS + 1, deep_supervision=True).train()

        def step(images: NDArray[np.float32], channels: NDArray[np.uint8]) -> None:
            outputs = compute_outputs(network, torch.from_numpy(images)[:, None])
            deep_supervision_loss(outputs, torch.from_numpy(channels)).backward()

        steps = range(8)
        ready = [(b.images, b.channels) for b in batches(sampler, steps, 2, 0)]
        step(*ready[0])
        ratios = []
        for _ in range(3):
            since = time.monotonic()
            for made in ready:
                step(*made)
            pure_s, since = time.monotonic() - since, time.monotonic()
            for batch in batches(sampler, steps, 2, 1):
                step(batch.images, batch.channels)
            ratios.append((time.monotonic() - since) / pure_s)
    ratio = statistics.median(ratios)
    return [
        ("8 steps of 2 x 64 cubed, wall clock, three rounds", " ".join(f"{each:.3f}" for each in ratios), None),
        ("times the same on ready batches", f"{ratio:.3f}   goal <= 1.05", ratio <= 1.05),
    ]


def export() -> list[Check]:
    """From scores on the stored grid to labels on the image's."""
    from nnunetv2.preprocessing.resampling.default_resampling import resample_data_or_seg_to_shape

    stored = ct(STORED, 1)[1]
    random = np.random.Generator(np.random.Philox(key=5))
    scores = random.normal(0, 0.5, (ORGANS + 1, *STORED)).astype(np.float32)
    np.put_along_axis(scores, stored[None].astype(np.int64), 6, axis=0)
    highest_channel(np.ascontiguousarray(scores[:, :8, :8, :8]), (9, 9, 7))  # compiles
    ours, own_s = timed(lambda: highest_channel(scores, NATIVE))
    theirs, their_s = timed(
        lambda: resample_data_or_seg_to_shape(
            scores.transpose(0, 3, 2, 1), NATIVE[::-1], STORED_MM[::-1], NATIVE_MM[::-1], False, 1, 0, None
        ).argmax(0).T
    )  # fmt: skip
    differ = int((ours != theirs).sum())
    return [
        ("15 classes to 512x512x200: ours, nnU-Net", f"{own_s:.1f} s, {their_s:.1f} s", None),
        ("times as fast", f"{their_s / own_s:.1f}   goal >= 5", their_s / own_s >= 5),
        (f"voxels of {ours.size / 1e6:.0f} M that differ", f"{differ}   goal 0", differ == 0),
    ]


def memory() -> list[Check]:
    """In a process of its own, of which nothing else is measured."""
    done = subprocess.run([sys.executable, __file__, "--memory"], capture_output=True, text=True, check=True)
    gigabytes = float(done.stdout)
    figures = f"{gigabytes:.2f} GB   goal <= 1.3 GB"
    return [("512x512x300, 15 classes, windows of 128 cubed", figures, gigabytes <= 1.3)]


def stripe_memory() -> None:
    """Print the peak of labelling by windows, over the image and the result; the network is none."""
    image = np.full((512, 512, 300), -1, np.float32)
    image[50:450, 50:450] = 0.5
    scores = np.full((ORGANS + 1, *PATCH), -1, np.float32)

    def network(part: NDArray[np.float32]) -> NDArray[np.float32]:
        scores[1] = part
        return scores

    windows.predict_labels(image[:16, :16, :16], (8, 8, 8), 0.5, (16, 16, 16), lambda p: np.stack([p, p]), air=-9.0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew, at what is held now
    before_kb = resident_kb("VmRSS")
    result = windows.predict_labels(image, PATCH, 0.5, image.shape, network, air=-9.0)
    sys.stdout.write(f"{(resident_kb('VmHWM') - before_kb) * 1024 / 1e9 - result.nbytes / 1e9}")


def resident_kb(field: str) -> int:
    """Memory of this process, of a line of /proc/self/status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


BENCHMARKS: dict[str, Callable[[], list[Check]]] = {
    function.__name__: function for function in (images, labels, patches, crop, loss, waiting, export, memory)
}

if __name__ == "__main__":
    if sys.argv[1:] == ["--memory"]:
        stripe_memory()
    else:
        raise SystemExit(main(sys.argv[1:]))

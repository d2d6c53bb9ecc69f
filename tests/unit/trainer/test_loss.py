import numpy as np
import pytest
import torch
from dynunet_trainer.loss import deep_supervision_loss
from dynunet_trainer.network import build_network, compute_outputs, load_weights, named_weights
from dynunet_trainer.plan import Normalisation, Plan, kernels_and_strides
from dynunet_trainer.windows import make_predict
from monai.losses.dice import DiceCELoss
from torch.nn.utils import clip_grad_norm_
from torch.utils._python_dispatch import TorchDispatchMode

from contract.errors import UsageError

# Operations that raise, or are slow, under `use_deterministic_algorithms` on CUDA: torch's own list in its docstring,
# by the names under which a trace shows them.
RANDOM_ORDER_ON_CUDA = [
    "nll_loss", "upsample_linear", "upsample_bilinear", "upsample_bicubic", "upsample_trilinear", "grid_sampler",
    "avg_pool3d_backward", "adaptive_avg_pool", "adaptive_max_pool", "max_unpool", "fractional_max_pool",
    "reflection_pad", "replication_pad", "cumsum", "histc", "bincount", "median", "put_", "kthvalue", "scatter",
    "gather", "index_add", "index_put", "index_copy", "embedding", "ctc_loss", "resize_", "upsample_nearest",
]  # fmt: skip


def small_network(*, deep_supervision=True):
    kernels, strides = kernels_and_strides((16, 32, 32), (4.0, 1.0, 1.0))
    plan = Plan((4.0, 1.0, 1.0), (16, 32, 32), kernels, strides, (4, 6, 8, 10), Normalisation(-1, 1, 0, 1))
    torch.manual_seed(0)
    return build_network(plan, 5, deep_supervision=deep_supervision).train()


def batch():
    random = torch.Generator().manual_seed(1)
    images = torch.randn(2, 1, 16, 32, 32, generator=random)
    return images, torch.randint(0, 4, (2, 16, 32, 32), generator=random, dtype=torch.uint8)  # class 4 is absent


@pytest.mark.parametrize("deep_supervision", [True, False])
def test_loss_and_gradients_are_those_of_monais_tutorial(deep_supervision):
    images, labels = batch()
    network = small_network(deep_supervision=deep_supervision).double()

    loss = deep_supervision_loss(compute_outputs(network, images.double()), labels)
    loss.backward()
    gradients = [p.grad.clone() for p in network.parameters()]

    network.zero_grad()
    stack_axes = network(images.double())
    heads = torch.unbind(stack_axes, dim=1) if deep_supervision else [stack_axes]
    monai = DiceCELoss(to_onehot_y=True, softmax=True, batch=False)
    expected = sum(0.5**i * monai(head, labels[:, None].long()) for i, head in enumerate(heads))
    expected.backward()
    assert len(heads) == (3 if deep_supervision else 1)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-10)
    for found, parameter in zip(gradients, network.parameters(), strict=True):
        torch.testing.assert_close(found, parameter.grad, rtol=1e-7, atol=1e-12)


class Trace(TorchDispatchMode):
    """Notes the names of all operations, below autograd."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def test_training_step_uses_no_operation_that_cuda_does_in_random_order():
    images, labels = batch()
    network = small_network()
    optimizer = torch.optim.AdamW(network.parameters(), foreach=False, fused=False)

    with Trace() as trace:
        loss = deep_supervision_loss(compute_outputs(network, images), labels)
        loss.backward()
        clip_grad_norm_(network.parameters(), 12.0, foreach=False)
        optimizer.step()

    assert {"convolution_backward", "_log_softmax", "addcdiv_"} <= trace.names
    assert not [name for name in trace.names if any(bad in name for bad in RANDOM_ORDER_ON_CUDA)]


def test_inference_uses_no_operation_that_cuda_does_in_random_order():
    network = small_network().eval()
    window = np.zeros((16, 32, 32), np.float32)

    with Trace() as trace:
        scores = make_predict(network, torch.device("cpu"))(window)
        with torch.no_grad():  # inference mode hides what operations are made of
            network(torch.from_numpy(window)[None, None])

    assert scores.shape == (5, 16, 32, 32)
    assert {"conv3d", "convolution", "native_batch_norm"} <= trace.names
    assert not [name for name in trace.names if any(bad in name for bad in RANDOM_ORDER_ON_CUDA)]


def test_weights_go_into_a_network_of_the_same_plan_only():
    source, target = small_network(), small_network()
    with torch.no_grad():
        next(iter(source.parameters())).add_(1)

    load_weights(target, named_weights(source))

    images, _ = batch()
    assert torch.equal(source.eval()(images), target.eval()(images))
    with pytest.raises(UsageError, match="weights must be of the network"):
        load_weights(small_network(deep_supervision=False), named_weights(source))

import torch
from nnunet_tool.loss import DeterministicCrossEntropy


def test_cross_entropy_and_its_gradient_are_those_of_torch():
    random = torch.Generator().manual_seed(1)
    logits = torch.randn((2, 4, 3, 5, 6), generator=random, dtype=torch.float64).mul_(5).requires_grad_()
    target = torch.randint(0, 4, (2, 3, 5, 6), generator=random)

    ours = DeterministicCrossEntropy()(logits, target.float())
    theirs = torch.nn.functional.cross_entropy(logits, target)

    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(*(torch.autograd.grad(loss, logits)[0] for loss in (ours, theirs)))

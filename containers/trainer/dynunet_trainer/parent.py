"""What a network takes over from the one it is fine-tuned from: its plan, always whole, and its weights.

A pre-trained network knows one spacing, one patch and one normalisation; a finetuned one that sees others is another
experiment. So none of them can be chosen for a child, and a parent of another plan is refused.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from contract.errors import UsageError
from contract.manifest import OptionValue
from dynunet_trainer import checkpoint
from dynunet_trainer.network import is_head
from dynunet_trainer.plan import Plan, plan_from
from dynunet_trainer.store import PLAN

OWN = {"spacing": "median", "patch": "auto", "filters": "auto"}
"""Options of `prepare` that a child can't have, with the value that means that none was given."""


def plan_of(folder: Path, options: Mapping[str, OptionValue]) -> Plan:
    """The plan of a parent: of its model, or of the image store that models were trained on.

    Raises:
        UsageError: neither is there, or an option asks for something else.
    """
    asked = [name for name, default in OWN.items() if options[name] != default]
    if asked:
        raise UsageError(
            f"--{asked[0]} must not be given with a parent, whose plan is kept, but it is {options[asked[0]]!r}; "
            "leave it out"
        )
    model = checkpoint.load_file(folder / checkpoint.MODEL)
    if model is not None:
        return plan_from(model["plan"])
    try:
        return plan_from(json.loads((folder / PLAN).read_text(encoding="utf-8"))["plan"])
    except (OSError, ValueError, KeyError):
        raise UsageError(
            f"{folder}: parent must be what step train or prepare wrote, but has neither {checkpoint.MODEL} nor {PLAN}"
        ) from None


def load_into(network: nn.Module, folder: Path, plan: Plan, organs: Mapping[int, str]) -> None:
    """Put a parent's weights into a network; where the organs differ, its heads stay as they are.

    Args:
        network: of the child's classes, with weights of its own seed.
        folder: with the parent's model.
        plan: of the store that the child learns from.
        organs: label id -> organ of the child.

    Raises:
        UsageError: no model, one that did not converge, or one of another plan.
    """
    model = checkpoint.load_file(folder / checkpoint.MODEL)
    if model is None or model["failure"]:
        why = model["failure"] if model else "there is none"
        raise UsageError(f"{folder / checkpoint.MODEL}: parent must be a trained model, but {why}")
    theirs = plan_from(model["plan"])
    if theirs != plan:
        raise UsageError(
            f"{folder / checkpoint.MODEL}: parent must have the plan of the store, but differs in "
            f"{', '.join(_differences(theirs, plan))}; prepare the store with this parent"
        )
    same = model["labels"] == dict(organs)
    own = dict(network.named_parameters())
    with torch.no_grad():
        for name, weight in model["weights"].items():
            if name in own and (same or not is_head(name)):
                own[name].copy_(weight)


def _differences(one: Plan, other: Plan) -> list[str]:
    return [name for name in Plan.__slots__ if getattr(one, name) != getattr(other, name)]

"""What a network takes over from the one that it is fine-tuned from: the whole plan, and the weights.

A pre-trained network knows one spacing, one patch and one normalisation; fine-tuning it with others is another
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
from dynunet_trainer.plan import Plan, parse_plan
from dynunet_trainer.store import PLAN

CHOSEN_BY_PARENT = {"spacing": "median", "patch": "auto", "filters": "auto"}
"""Options of `prepare` that a child can't have, with their defaults."""


def read_plan(folder: Path, options: Mapping[str, OptionValue]) -> Plan:
    """Read a parent's plan: of its model, or of the image store that models were trained on.

    Raises:
        UsageError: neither is there, or an option asks for something else.
    """
    given = [name for name, default in CHOSEN_BY_PARENT.items() if options[name] != default]
    if given:
        raise UsageError(
            f"--{given[0]} must not be given with a parent, whose plan is kept, but it is {options[given[0]]!r}; "
            "leave it out"
        )
    model = checkpoint.load_file(folder / checkpoint.MODEL)
    if model is not None:
        return parse_plan(model["plan"])
    try:
        return parse_plan(json.loads((folder / PLAN).read_text(encoding="utf-8"))["plan"])
    except (OSError, ValueError, KeyError):
        raise UsageError(
            f"{folder}: parent must be what step train or prepare wrote, but has neither {checkpoint.MODEL} nor {PLAN}"
        ) from None


def load_parent_weights(network: nn.Module, folder: Path, plan: Plan, organs: Mapping[int, str]) -> None:
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
    parent_plan = parse_plan(model["plan"])
    if parent_plan != plan:
        raise UsageError(
            f"{folder / checkpoint.MODEL}: parent must have the plan of the store, but differs in "
            f"{', '.join(_list_differences(parent_plan, plan))}; prepare the store with this parent"
        )
    has_same_organs = model["labels"] == dict(organs)
    weights = dict(network.named_parameters())
    with torch.no_grad():
        for name, weight in model["weights"].items():
            if name in weights and (has_same_organs or not is_head(name)):
                weights[name].copy_(weight)


def _list_differences(plan: Plan, other: Plan) -> list[str]:
    return [name for name in Plan.__slots__ if getattr(plan, name) != getattr(other, name)]

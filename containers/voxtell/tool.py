"""VoxTell as a label generator: the names of a dataset's organs are its prompts, never their reference labels."""

from typing import TYPE_CHECKING

from contract import Case, Cases, Context, LabelMap, run
from contract.devices import choose_device

if TYPE_CHECKING:
    from voxtell_tool.volume import Model


def load(context: Context) -> "Model":
    """Find an embedding for each organ of the dataset, and load the network onto the device."""
    import torch
    from voxtell_tool.embeddings import read_bank
    from voxtell_tool.network import load_network
    from voxtell_tool.prompts import choose_prompts
    from voxtell_tool.volume import Model, stack_embeddings

    device = torch.device(choose_device(context.arguments.device, torch.cuda))
    files = {path.name: path for path in context.weights.values()}
    bank = read_bank(files["text_embeddings.npz"])
    prompts = choose_prompts(context.dataset.labels, str(context.options["prompts"]), bank.keys())
    context.facts["device"] = str(device)
    context.facts["text_prompts"] = {context.dataset.labels[label]: prompt for label, prompt in prompts.items()}
    network = load_network(files["plans.json"], files["checkpoint_final.pth"], device, context.threads)
    return Model(network, tuple(prompts), stack_embeddings(network, bank, prompts.values()))


def segment(model: "Model", case: Case) -> LabelMap:
    """Segment every organ that was asked for."""
    from voxtell_tool.volume import segment_volume

    return segment_volume(model, case)


if __name__ == "__main__":
    raise SystemExit(run(__file__, Cases(load, segment)))

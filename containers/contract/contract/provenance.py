"""What `run.json` says of every run: tool, options, weights, device, packages, memory."""

import importlib.metadata
import os
import platform
import resource

from contract.context import Context


def describe_run(context: Context) -> dict[str, object]:
    """What was run, on what; the outputs are added by the caller."""
    arguments, manifest = context.arguments, context.manifest
    weights = manifest.variant(arguments.variant).weights
    return {
        "tool": manifest.name,
        "version": manifest.version,
        "variant": arguments.variant,
        "step": arguments.step,
        "options": {name: arguments.options[name] for name in manifest.option_names(arguments.step)},
        "weights": [
            {"file": w.file, "sha256": context.checked_weights[w.file].sha256, "licence": w.licence} for w in weights
        ],
        "prompts": manifest.prompts,
        "device": arguments.device,
        "threads": arguments.threads,
        "image_id": os.environ.get("TOOL_IMAGE_ID") or None,
        "unrestricted": os.environ.get("TOOL_UNRESTRICTED") or None,
        "revision": os.environ.get("TOOL_REVISION") or None,
        "python": platform.python_version(),
        **context.facts,
        "packages": {d.name: d.version for d in sorted(importlib.metadata.distributions(), key=lambda d: d.name)},
    }


def peak_memory_mb() -> int:
    """Peak resident memory of this process so far, in MB (Linux counts in kB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

"""The job script of a step: a text that a user of Slurm can read, edit, and submit by hand."""

import shlex
import sys
from pathlib import Path
from typing import NamedTuple

import jinja2

from contract.errors import UsageError
from contract.records import digest
from coordinator.engine.places import CLUSTER_FOLDER
from coordinator.engine.slurm.profile import SlurmProfile
from coordinator.runners.cluster import Allowance
from coordinator.study.steps import Step

SHARDS = ".shards"
"""What the name of an array job ends with whose tasks are the shards of a step."""
TEMPLATE = Path(__file__).with_name("job.sh.j2")


class JobRequest(NamedTuple):
    """What a job is asked of Slurm for.

    Attributes:
        run: the run folder.
        study: its name.
        step: that it does.
        minutes: how long it is estimated to take.
        allowance: what it gets beyond that.
        shards: how many tasks it has, each a shard of the step; 0 for the job that does the step.
    """

    run: Path
    study: str
    step: Step
    minutes: float
    allowance: Allowance = Allowance()
    shards: int = 0

    @property
    def name(self) -> str:
        """The job's name."""
        return f"{name_prefix(self.run, self.study)}{self.step.id}{SHARDS if self.shards else ''}"

    @property
    def comment(self) -> str:
        """What the job says of itself, so that it can be taken over."""
        return self.allowance.text(self.step.fingerprint)

    @property
    def file(self) -> Path:
        """The job script, relative to the run folder."""
        return Path(CLUSTER_FOLDER, "scripts", f"{self.step.id}{SHARDS if self.shards else ''}.sh")

    @property
    def log(self) -> Path:
        """What the job itself prints, relative to the run folder; the tool has a log of its own."""
        return Path("logs", "slurm", f"{self.step.id}{'.shard-%a' if self.shards else ''}.out")


def name_prefix(run: Path, study: str) -> str:
    """How the names of all jobs of a run folder begin: two run folders of one name don't meet in the queue."""
    return f"lq-{study}-{digest([str(run.resolve())])[:8]}."


def render_script(request: JobRequest, profile: SlurmProfile) -> str:
    """Write the job script of a step.

    Raises:
        UsageError: the site's template is wrong.
    """
    step, allowance = request.step, request.allowance
    gpus = step.gpus if profile.gpus else 0
    values = {
        "study": request.study, "step": step, "name": request.name, "comment": request.comment, "file": request.file,
        "log": request.log, "cpus": step.cpus, "memory_mb": profile.limit_memory_mb(step.memory_mb, allowance),
        "minutes": profile.limit_minutes(request.minutes, allowance), "shards": request.shards,
        "gres": profile.gres.format(gpus=gpus) if gpus else "",
        "partition": (profile.gpu_partition if gpus else None) or profile.partition,
        "site": profile.model_dump(), "run": str(request.run.resolve()), "python": sys.executable,
    }  # fmt: skip
    try:
        return _read_template(profile).render(values) + "\n"
    except jinja2.TemplateError as error:
        raise UsageError(
            f"{profile.template}: must use the values that ours has, but: {error}; `coordinator cluster template` "
            "prints ours"
        ) from None


def check_template(profile: SlurmProfile) -> None:
    """Refuse a template that makes no job script, before anything is submitted.

    Raises:
        UsageError: the site's template is wrong.
    """
    step = Step("d/step", "nothing", "d/step", "d", "step", "0" * 64, gpus=1)
    render_script(JobRequest(Path("/run"), "study", step, 1), profile)


def _read_template(profile: SlurmProfile) -> jinja2.Template:
    file = Path(profile.template).expanduser() if profile.template else TEMPLATE
    settings = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701 - a shell script
    settings.filters["quote"] = lambda value: shlex.quote(str(value))
    try:
        return settings.from_string(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, jinja2.TemplateError) as error:
        raise UsageError(
            f"{file}: must be a template of a job script, but: {error}; `coordinator cluster template` prints ours"
        ) from None

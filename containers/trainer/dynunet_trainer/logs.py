"""The log of epochs, as a table and as TensorBoard events; without times, so the same run gives the same bytes."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.record_writer import RecordWriter

from contract import atomic

TABLE, EVENTS = "log.parquet", "events.out.tfevents.0.trainer"


class Epoch(NamedTuple):
    """A row of the log.

    Attributes:
        epoch: from 1.
        loss: mean over its batches.
        learning_rate: of its last batch.
        validation_dice: mean over organs on fixed patches of held-out cases; None where there are none.
    """

    epoch: int
    loss: float
    learning_rate: float
    validation_dice: float | None

    def describe(self) -> str:
        """Loss and Dice for a line of the log."""
        dice = "" if self.validation_dice is None else f", validation Dice {self.validation_dice:.3f}"
        return f"loss {self.loss:.3f}{dice}"


SCHEMA = {"epoch": pl.Int64, "loss": pl.Float64, "learning_rate": pl.Float64, "validation_dice": pl.Float64}


def write_logs(folder: Path, epochs: Sequence[Epoch]) -> None:
    """Write both files anew, each in one step; they are small."""
    with atomic.part_file(folder / TABLE) as part:
        pl.DataFrame(list(epochs), schema=SCHEMA, orient="row").write_parquet(part)
    with atomic.part_file(folder / EVENTS) as part:
        writer = RecordWriter(str(part))
        writer.write(Event(wall_time=0, file_version="brain.Event:2").SerializeToString())
        for epoch in epochs:
            values = [(tag, getattr(epoch, tag)) for tag in ("loss", "learning_rate", "validation_dice")]
            summary = Summary(value=[Summary.Value(tag=tag, simple_value=v) for tag, v in values if v is not None])
            writer.write(Event(wall_time=epoch.epoch, step=epoch.epoch, summary=summary).SerializeToString())
        writer.close()

"""Progress of sampling, shown by rich: in a notebook below the cell, else on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["progress", "stages"]


@contextmanager
def progress(
    description: str, total: int, *, show: bool, unit: str = "sweeps"
) -> Iterator[Callable[[int], None]]:
    """Yield a function that moves a bar by so many sweeps, or other units; thread-safe."""
    if not show:
        yield lambda made: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: object) -> Text:
            speed = getattr(task, "finished_speed", None) or getattr(task, "speed", None)
            return Text("" if speed is None else f"{speed:,.0f} {unit}/s")

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        Rate(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(description, total=total)
        yield lambda made: bar.advance(task, made)


@contextmanager
def stages(total: int, *, show: bool) -> Iterator[Callable[[str, str], None]]:
    """Yield a function that names the stage that begins, and prints a line above the bar if any."""
    if not show:
        yield lambda stage, said: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task, begun = bar.add_task("", total=total), 0

        def begin(stage: str, said: str) -> None:
            nonlocal begun
            if said:
                bar.print(said)
            bar.update(task, description=stage, completed=begun, total=max(total, begun + 1))
            begun += 1

        yield begin
        bar.update(task, description="", completed=begun, total=begun)

"""``septet train FILE``: fit the model on all the data, store it with its card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from septet._app.documents import to_json
from septet._cli import options
from septet._cli.terminal import echo, echo_json

__all__ = ["train"]


@click.command(short_help="Fit a strategy's model on all its data and store it.")
@options.strategy_file
@options.settings
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="Folder of the model; by default models/NAME beside the strategy file.",
)
@options.unchecked
@options.as_json
def train(
    file: str, sets: tuple[str, ...], out: Path | None, unchecked: bool, as_json: bool
) -> None:
    """Fit the model of FILE on all its data and store it with a card that describes it.

    The model decides only after the last label it was fitted on: run it with
    `training: {scheme: stored, path: FOLDER}`. The scores on the card are of a model fitted on
    the first four fifths and tested on the rest.
    """
    from septet._app.train import train_model
    from septet._cli.render import render_problems
    from septet._config import load

    loaded = load(file, sets=sets, unchecked=unchecked, log=options.log_to_stderr)
    if loaded.warnings:
        render_problems(loaded.warnings)
    trained = train_model(loaded, out)
    if as_json:
        echo_json(to_json(trained))
        return
    _show(trained.folder, trained.card)


def _show(folder: Path, card: dict[str, Any]) -> None:
    from septet._results.verdict import unchecked_plugins, unchecked_text

    scores = card.get("scores")
    served = card.get("served_by", card["format"])  # a trainer of a plugin serves its own format
    lines = [
        ("model", f"{card['estimator']}, served by {served}"),
        ("features", ", ".join(card["features"])),
        ("rows", f"{card['rows']} ({card['rows_up']} up, {card['rows_down']} down)"),
        ("data", f"{card['first_row']} to {card['last_row']}"),
        ("decides after", card["last_label"]),
    ]
    if scores:
        hits = f"{100 * scores['hit_rate']:.1f} %"
        text = f"AUC {scores['auc']:.3f}, Brier {scores['brier']:.4f}, hits {hits}"
        lines.append((f"last {scores['rows']} rows", f"{text} (fitted on those before)"))
    lines += [("note", each) for each in card["notes"]]
    unchecked = unchecked_plugins(card)
    if unchecked:
        lines.append(("unchecked", unchecked_text(unchecked)))
    width = max(len(name) for name, _ in lines)
    for name, text in lines:
        echo(f"{name.ljust(width)}  {text}")
    echo(f"stored in {folder}")

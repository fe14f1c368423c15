"""`mlctl export`: a run's model, or any encoder, in a folder that can be published."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlctl.cli.options import DEFAULT_STORE, OptionalRecipe, StoreFolder, existing_store, load_recipe, out
from mlctl.cli.units import format_size
from mlctl.errors import InputError

if TYPE_CHECKING:
    from mlctl.pipeline.export_variants import Variants

_Run = Annotated[
    str,
    typer.Option(
        "--run",
        help="Id of a run (`mlctl runs`) or a prefix of it; default: the newest with a report (with --recipe: of that recipe).",
        show_default=False,
    ),
]
_Model = Annotated[
    str,
    typer.Option("--model", help="Export this encoder, a folder or a name on the hub, not that of a run.", show_default=False),
]
_Languages = Annotated[
    str,
    typer.Option("--languages", help="Keep only the vocabulary of these languages, e.g. en,de.", show_default=False),
]
_Text = Annotated[
    list[str] | None,
    typer.Option(
        "--text",
        help="File with a sentence a line (data/text.{language}.gz) for --languages, --onnx and --int8; default: the text that the run "
        "cleaned. It may be given several times.",
        show_default=False,
    ),
]
_Push = Annotated[
    str,
    typer.Option(
        "--push", help="Then publish the folder as this repository of the Hugging Face hub, e.g. me/my-model.", show_default=False
    ),
]


def export(
    folder: Annotated[str, typer.Argument(help="Folder to write: a new one, or that of an earlier export.")],
    run: _Run = "",
    model: _Model = "",
    languages: _Languages = "",
    text: _Text = None,
    onnx: Annotated[bool, typer.Option("--onnx", help="Also write the encoder as ONNX.")] = False,
    int8: Annotated[bool, typer.Option("--int8", help="Also write it as ONNX with weights of eight bits.")] = False,
    push: _Push = "",
    recipe: OptionalRecipe = "",
    store: StoreFolder = DEFAULT_STORE,
    force: Annotated[
        bool, typer.Option("--force", help="Export it even if it is significantly worse than its base model.")
    ] = False,
) -> None:
    """Export a run's model, its card, attribution and figures into one folder, ready to publish; with --recipe, of that recipe."""
    from mlctl.pipeline.export_text import parse_languages
    from mlctl.pipeline.export_variants import Variants

    variants = Variants(parse_languages(languages), onnx, int8, tuple(text or ()))
    if variants.text and not variants.need_text:
        raise InputError("--text is read for --languages, --onnx and --int8 alone", "name one of them, or leave out --text")
    if model:
        if run or recipe or store:
            raise InputError("--model names an encoder, --run, --recipe and --store one of a run", "name one of the two")
        title = _export_model(folder, model, variants)
    else:
        title = _export_run(folder, run, variants, recipe, store, force)
    out.print(f"folder: {Path(folder).expanduser().absolute()}", soft_wrap=True, markup=False)
    if push:
        from mlctl.pipeline.publish import push_to_hub

        push_to_hub(Path(folder).expanduser(), push.removeprefix("hf://"), title)
        out.print(f"hub:    {push.removeprefix('hf://')}", soft_wrap=True, markup=False)


def _export_run(folder: str, run: str, variants: Variants, recipe: str, store: str, force: bool) -> str:
    """Export the model of a run; return what it is, for the record of the hub."""
    from mlctl.pipeline.export import export as export_run

    name, opened = load_recipe(recipe, None).name if recipe else "", existing_store(store, recipe)
    exported, made = export_run(opened, Path(folder), run, recipe_name=name, force=force, variants=variants)
    out.print(f"run:    {exported.id} ({exported.recipe.get('name', '')})")
    _print(made)
    return f"run {exported.id}"


def _export_model(folder: str, model: str, variants: Variants) -> str:
    from mlctl.pipeline.export_model import export_model

    made = export_model(Path(folder), model, variants)
    out.print(f"model:  {model}", soft_wrap=True, markup=False)
    _print(made)
    return f"export of {Path(model).name}"


def _print(made: dict[str, Any]) -> None:
    for line in (*_vocabulary(made.get("vocabulary")), *_files(made.get("onnx", ()))):
        out.print(line, soft_wrap=True, markup=False)


def _vocabulary(made: dict[str, Any] | None) -> Iterator[str]:
    if made is None:
        return
    (tokens, kept), (size, left) = made["tokens"], made["bytes"]
    yield f"tokens: {tokens:,} → {kept:,}; weights: {format_size(size)} → {format_size(left)}"
    for language, count in made["sentences"].items():
        held = made["heldout"][language]
        share = f"a vocabulary of 19/20 of them splits {100 * held['same']:.1f}% of the other {held['sentences']:,} as before"
        yield f"  {language}: {count:,} sentences are split as before; {share}"
    yield f"  sentence vectors differ by at most {made['difference']:.1g}"


def _files(files: list[dict[str, Any]]) -> Iterator[str]:
    for file in files:
        cosines = f"mean {file['mean']:.4f}, least {file['least']:.4f}"
        yield f"{file['name']}: {format_size(file['bytes'])}; cosine to the model over {file['sentences']} sentences: {cosines}"

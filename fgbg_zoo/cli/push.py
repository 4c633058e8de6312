"""``fgbg-zoo push``: a snapshot becomes a Hub repository."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from fgbg_zoo.cli import console
from fgbg_zoo.cli.arguments import Endpoint
from fgbg_zoo.cli.arguments import Json
from fgbg_zoo.cli.arguments import Results
from fgbg_zoo.cli.arguments import Token
from fgbg_zoo.cli.arguments import explicit_folder


def push(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The folder of a snapshot, or a model's name.")],
    repo: Annotated[str, typer.Argument(metavar="ORG/NAME", help="The Hub repository; it is made if it is not there.")],
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
    tag: Annotated[str | None, typer.Option("--tag", help="A name for the commit, for hf:ORG/NAME@TAG.")] = None,
    results: Results = None,
    samples: Annotated[bool, typer.Option(help="Draw what the model does, if the snapshot holds no PNG.")] = True,
    license: Annotated[
        str | None,
        typer.Option("--license", metavar="SPDX", help="Of the weights; what the snapshot states if left out."),
    ] = None,
    endpoint: Endpoint = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Publish a snapshot as one commit of a Hub repository, with a card, and print the commit's address.

    Needs a login that may write: 'hf auth login', $HF_TOKEN or --token.
    """
    import fgbg_zoo

    folder = explicit_folder(model)
    named = model if model in fgbg_zoo.list_models() else None
    published = fgbg_zoo.push(
        folder or named or fgbg_zoo.load(model, device="cpu"),
        repo,
        private=private,
        tag=tag,
        results=results,
        samples=samples,
        license=license,
        endpoint=endpoint,
        token=token,
    )
    commit = published.rpartition("/")[2]
    name = f"hf:{repo}@{tag or commit}"
    console.message(f"Done; '-m {name}' loads it, and a plugin's ModelSpec names it by revision=\"{commit}\".")
    if json:
        console.print_json({"repo_id": repo, "url": published, "commit": commit, "tag": tag, "model": name})
    else:
        print(published)


def card(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="The folder of a snapshot, a model's name, or hf:ORG/NAME[@REVISION]."),
    ],
    repo: Annotated[
        str | None, typer.Option("--repo", metavar="ORG/NAME", help="The Hub repository that the card is for.")
    ] = None,
    results: Results = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="A file to write instead of printing it.", dir_okay=False)
    ] = None,
    update: Annotated[
        bool, typer.Option("--update", help="Write the card and the results into the snapshot's folder instead.")
    ] = False,
) -> None:
    """Print the card (README.md) that a model would have on the Hub, or the one that hf:ORG/NAME has.

    What a person wrote into the card of a snapshot is kept.
    """
    from fgbg_zoo.access import check_repository
    from fgbg_zoo.errors import UsageError
    from fgbg_zoo.errors import printable
    from fgbg_zoo.files import replacing
    from fgbg_zoo.publishing import card_for
    from fgbg_zoo.publishing import update_card

    if update:
        if out is not None or repo is not None or (folder := explicit_folder(model)) is None:
            raise UsageError(
                "--update writes into a snapshot's folder: give that as MODEL, and neither --out nor --repo."
            )
        console.message(f"Written: {update_card(folder, results)}")
        return
    if repo is not None:
        check_repository(repo)
    text = card_for(model, repo, results)
    if out is None:
        print(printable(text, keep="\n\t") if sys.stdout.isatty() else text, end="")
        return
    with replacing(out) as file:
        file.write(text.encode())
    console.message(f"Written: {out}")

"""The web page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.app import DEFAULT_HOME, RESULTS, HomeOption, ModelNameOption, app


@app.command(rich_help_panel=RESULTS)
def studio(
    *,
    host: Annotated[str, typer.Option(
        "--host", help="Where to listen; one that others can reach needs a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any that is free.")] = 8080,
    token_file: Annotated[Path | None, typer.Option(
        "--token-file", help="File with the token that visitors have to know. Or PHOTOSHOOT_STUDIO_TOKEN.")] = None,
    version: Annotated[str | None, typer.Option(
        "--version", help="Version number, champion, whose successors are followed, or starter, the model that ships. "
                          "Default: the champion, else the newest that its gate did not fail, else the starter.",
    )] = None,
    model: Annotated[Path | None, typer.Option(
        "--model", help="Model file or folder instead of a registered version.")] = None,
    browser: Annotated[bool, typer.Option(
        "--open/--no-open", help="Open the page in a browser, where there is one.")] = False,
    model_name: ModelNameOption = "photoshoot",
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Open the web page: drop photos, click, eight pictures. Ctrl-C ends it.

    It listens on this machine alone unless --host says otherwise. Photos and pictures lie in a private folder and are
    gone after the visit, or an hour after the last click.
    """
    from pipelines.home.folder import Home
    from pipelines.studio.models import Asked
    from pipelines.studio.server import Place, serve, token_from

    place = Place(host, port, token_from(token_file), browser)
    serve(Asked(Home.if_there(home), model_name, version, model), place)

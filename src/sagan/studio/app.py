"""The studio's server: which request is answered by what."""

import sys
import traceback
from importlib import resources
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import numpy as np
from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from numpy.typing import NDArray
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from sagan.data import DataConfig
from sagan.generators.config import SampleConfig
from sagan.generators.trained import TrainedGenerator
from sagan.machine import is_out_of_memory
from sagan.studio.asks import Looks, Pictures, Saved
from sagan.studio.binary import MEDIA_TYPE, packed
from sagan.studio.commands import own_command, sample_command
from sagan.studio.config import StudioConfig
from sagan.studio.drawing import Drawn, check_item, draw, looks
from sagan.studio.guard import Guard
from sagan.studio.live import run_told, samples_at
from sagan.studio.nearest import Neighbours, TrainingPictures, data_of_run
from sagan.studio.newest import BusyError, Newest, StaleError, Turn
from sagan.studio.own import opened, own_picture, save_own
from sagan.studio.saving import TYPES, SavedFile, command_of, content_of, curves_file, nearest_file, saved_file
from sagan.studio.sources import Loaded, Loader, Source

PAGE_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}

# So many sets of pictures are kept to look at one of them: the latest of a source and of its walk.
MAX_REMEMBERED = 4


class Studio:
    """What the page can ask for.

    Args:
        config: What the studio was opened with.
    """

    def __init__(self, config: StudioConfig) -> None:
        self.config = config
        self.sources = {
            str(i): Source(str(i), name, path, config.device)
            for i, (name, path) in enumerate(zip(config.names, config.paths, strict=True))
        }
        self.newest, self.loader = Newest(), Loader()
        self._data: dict[str, TrainingPictures] = {}
        self._drawn: dict[tuple[str, bool], tuple[Loaded, SampleConfig, Drawn]] = {}
        self.refresh()

    def refresh(self) -> None:
        """Have loaded what is new."""
        for source in self.sources.values():
            if source.changed():
                self.loader.ask(source)

    def told(self) -> dict[str, object]:
        """Give all that the page must know."""
        self.refresh()
        return {"sources": [self._told(source) for source in self.sources.values()]}

    def source(self, key: str) -> Source:
        """Find a source.

        Raises:
            ValueError: If there is none of this name.
        """
        if key not in self.sources:
            raise ValueError("this studio was opened with other weights; load the page again")
        return self.sources[key]

    def draw(self, asked: Pictures, turn: Turn) -> bytes:
        """Draw pictures; they come with the command that makes them again."""
        loaded = self.source(asked.source).generator()
        config = asked.config(loaded.generator)
        drawn = draw(loaded.generator, config, turn.check)
        self._remember(asked, loaded, config, drawn)
        told: dict[str, object] = {"command": sample_command(loaded.file, config, "samples.png")}
        if drawn.labels is not None:
            told["labels"] = drawn.labels
        return packed(told, {"images": drawn.images})

    def look(self, asked: Looks) -> bytes:
        """Give where the generator looks in a picture."""
        loaded = self.source(asked.pictures.source).generator()
        config = asked.pictures.config(loaded.generator)
        return looks(loaded.generator, config, asked.item, self._remembered(loaded, config))

    def near(self, asked: Looks) -> bytes:
        """Give the training pictures nearest to a picture."""
        loaded, data, _, found = self._nearest(asked)
        told = {
            "classes": found.names,
            "count": len(data),
            "data": data.config.path,
            "others": data.differ_from(loaded.generator.provenance),
        }
        return packed(told, {"images": found.images, "distances": found.distances.astype(np.float32)})

    def near_file(self, asked: Looks) -> SavedFile:
        """Give a picture and the training pictures nearest to it, as one figure."""
        loaded, data, sample, found = self._nearest(asked)
        config = asked.pictures.config(loaded.generator)
        return nearest_file(
            loaded,
            config,
            sample,
            found,
            f"{len(data):,} pictures of {Path(str(data.config.path)).name}, held-out ones as well",
        )

    def _nearest(self, asked: Looks) -> tuple[Loaded, TrainingPictures, NDArray[np.uint8], Neighbours]:
        source = self.source(asked.pictures.source)
        loaded = source.generator()
        config = asked.pictures.config(loaded.generator)
        data = self._pictures_of(source, loaded.generator)
        drawn = self._remembered(loaded, config) or draw(loaded.generator, config, lambda _: None)
        check_item(asked.item, len(drawn.images))
        sample = drawn.images[asked.item]
        return loaded, data, sample, data.near(sample)

    def _remember(self, asked: Pictures, loaded: Loaded, config: SampleConfig, drawn: Drawn) -> None:
        """Keep the latest pictures, of samples and of walks each, of a few sources."""
        lane = (asked.source, config.interpolate is None)
        self._drawn.pop(lane, None)
        self._drawn[lane] = loaded, config, drawn
        while len(self._drawn) > MAX_REMEMBERED:
            del self._drawn[next(iter(self._drawn))]

    def _remembered(self, loaded: Loaded, config: SampleConfig) -> Drawn | None:
        return next((d for of, c, d in list(self._drawn.values()) if of is loaded and c == config), None)

    def _told(self, source: Source) -> dict[str, object]:
        return source.told() | {"data": self._data_of(source) is not None}

    def _data_of(self, source: Source) -> DataConfig | None:
        if self.config.data is not None:
            return self.config.data
        return data_of_run(source.path) if source.is_run else None

    def _pictures_of(self, source: Source, generator: TrainedGenerator) -> TrainingPictures:
        config = self._data_of(source)
        if config is None:
            raise ValueError("no training pictures are at hand; open the studio with --data PICTURES")
        size_px, trained_on = generator.config.image_size, generator.provenance.get("data")
        key = f"{config} {size_px} {trained_on}"
        if key not in self._data:
            self._data[key] = TrainingPictures(config, size_px, trained_on)
        return self._data[key]


def make_app(studio: Studio) -> FastAPI:
    """Make the server."""
    app = FastAPI(title="sagan studio", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Guard)
    _add_page(app)
    _add_pictures(app, studio)
    _add_runs(app, studio)
    _add_own(app, studio)
    _add_errors(app)
    return app


def page_files() -> dict[str, bytes]:
    """Read the page's files: nothing else is ever served from the disk."""
    folder = resources.files("sagan.studio") / "page"
    return {
        file.name: file.read_bytes() for file in folder.iterdir() if file.name[file.name.rfind(".") :] in PAGE_TYPES
    }


def _add_page(app: FastAPI) -> None:
    files = page_files()

    @app.get("/")
    def page() -> Response:
        return Response(files["index.html"], media_type=PAGE_TYPES[".html"])

    @app.get("/page/{name}")
    def part(name: str) -> Response:
        if name not in files:
            raise HTTPException(404, "there is no such part of the page")
        return Response(files[name], media_type=PAGE_TYPES[name[name.rfind(".") :]])


def _add_pictures(app: FastAPI, studio: Studio) -> None:
    @app.get("/api/state")
    def state() -> dict[str, object]:
        return studio.told()

    @app.post("/api/pictures")
    async def drawn(asked: Pictures) -> Response:
        lane = f"{'pictures' if asked.interpolate is None else 'walk'} {asked.source} {asked.page}"
        return _message(await studio.newest.run(lane, lambda turn: studio.draw(asked, turn)))

    @app.post("/api/looks")
    async def looked(asked: Looks) -> Response:
        lane = f"looks {asked.pictures.source} {asked.pictures.page}"
        return _message(await studio.newest.run(lane, lambda _: studio.look(asked)))

    @app.post("/api/nearest")
    async def near(asked: Looks) -> Response:
        return _message(await studio.newest.run(f"near {asked.pictures.page}", lambda _: studio.near(asked)))

    @app.post("/api/nearest/save")
    async def near_saved(asked: Looks) -> Response:
        lane = f"save {asked.pictures.page}"
        return _attachment(*await studio.newest.run(lane, lambda _: studio.near_file(asked)))

    @app.post("/api/command")
    def command(asked: Saved) -> dict[str, str]:
        return {"command": command_of(studio.source(asked.pictures.source).generator(), asked)}

    @app.post("/api/save")
    async def saved(asked: Saved) -> Response:
        loaded = studio.source(asked.pictures.source).generator()
        lane = f"save {asked.pictures.page}"
        name, content, command = await studio.newest.run(lane, lambda _: saved_file(loaded, asked))
        return _attachment(name, content, command)


def _add_runs(app: FastAPI, studio: Studio) -> None:
    def folder_of(key: str) -> Source:
        source = studio.source(key)
        if not source.is_run:
            raise ValueError(f"{source.name} holds weights alone; name its run folder to see the run")
        if not source.path.is_dir():
            raise ValueError(f"the folder of {source.name} is gone: it was deleted, moved or unmounted")
        return source

    @app.get("/api/runs/{key}")
    def run(key: str) -> dict[str, object]:
        return run_told(folder_of(key).path)

    @app.get("/api/runs/{key}/curves.png")
    async def curves(key: str) -> Response:
        source = folder_of(key)
        drawn = await studio.newest.run(f"curves {key}", lambda _: curves_file(source.path, source.name))
        return _attachment("curves.png", drawn, "")

    @app.get("/api/runs/{key}/samples/{step}")
    def samples(key: str, step: int) -> Response:
        return _message(packed({"step": step}, {"images": samples_at(folder_of(key).path, step)}))


def _add_own(app: FastAPI, studio: Studio) -> None:
    @app.post("/api/own/{key}")
    async def own(key: str, request: Request, page: Annotated[str, Query(max_length=40)] = "") -> Response:
        source, data = studio.source(key), await request.body()
        D = await run_in_threadpool(source.discriminator)
        return _message(await studio.newest.run(f"own {page}", lambda _: own_picture(D, data, source.trained_on)))

    @app.get("/api/own/{key}/command")
    def command(
        key: str, row: int, column: int, position: int, kind: Annotated[str, Query(max_length=4)]
    ) -> dict[str, str]:
        return {"command": own_command(studio.source(key).path, (row, column), position, f"own.{kind}")}

    @app.post("/api/own/{key}/save")
    async def save(
        key: str, request: Request, row: int, column: int, position: int, kind: Annotated[str, Query(max_length=4)]
    ) -> Response:
        if kind not in ("png", "npz"):
            raise ValueError(f"this is saved as png or npz, not as {kind!r}")
        source, data = studio.source(key), await request.body()
        D = await run_in_threadpool(source.discriminator)
        command = own_command(source.path, (row, column), position, f"own.{kind}")

        def write(_: Turn) -> bytes:
            image = opened(data, D.config.image_size, source.trained_on)
            return content_of(
                f"own.{kind}",
                lambda out: save_own(D, image, out, (row, column), position, {"command": command}),
            )

        return _attachment(f"own.{kind}", await studio.newest.run("save own", write), command)


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"] if part != "body") or "the request"
        return _said(422, f"{field}: {str(first['msg']).lower()}")

    @app.exception_handler(StaleError)
    async def stale(_: Request, __: StaleError) -> JSONResponse:
        return _said(409, "something newer was asked")

    @app.exception_handler(BusyError)
    async def busy(_: Request, __: BusyError) -> JSONResponse:
        return _said(503, "too much is waiting; try again in a moment")

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> JSONResponse:
        return _said(error.status_code, str(error.detail))

    @app.exception_handler(Exception)
    async def crashed(_: Request, error: Exception) -> JSONResponse:
        return _failure(error)

    for kind in (ValueError, OSError):
        app.exception_handler(kind)(_mistake)


async def _mistake(_: Request, error: Exception) -> JSONResponse:
    return _said(400, str(error))


def _failure(error: Exception) -> JSONResponse:
    """Answer for what nobody foresaw; the page goes on."""
    if is_out_of_memory(error):
        return _said(507, "out of memory; ask for fewer samples at a time")
    traceback.print_exception(error, file=sys.stderr)
    return _said(500, f"this could not be computed ({type(error).__name__}: {str(error)[:200]}); try something else")


def _said(status: int, sentence: str) -> JSONResponse:
    return JSONResponse({"error": sentence}, status)


def _message(content: bytes) -> Response:
    return Response(content, media_type=MEDIA_TYPE)


def _attachment(name: str, content: bytes, command: str) -> Response:
    headers = {"content-disposition": f'attachment; filename="{name}"', "x-command": quote(command)}
    return Response(content, media_type=TYPES[name.rpartition(".")[2]], headers=headers)

"""The page's addresses. Whatever is somebody's is reached through their cookie; to anybody else it is not there."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import io
import zipfile
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from urllib.parse import parse_qs, unquote

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool

from components.core.errors import InputError, MachineError, PhotoshootError
from components.core.poses.library import library
from components.core.poses.pose import TAGS, Pose
from pipelines.studio.guard import Guard
from pipelines.studio.limits import SIZES, Limits, Wish
from pipelines.studio.metrics import CONTENT_TYPE, Metrics
from pipelines.studio.models import Models
from pipelines.studio.state import state_of
from pipelines.studio.visitors import GOOD, Kind, Photo, Shoot, Visitor, Visitors
from pipelines.studio.worker import Worker

HERE = Path(__file__).parent
_KINDS: tuple[Kind, ...] = ("person", "clothes", "background")
_WRONG_TOKEN_S = 1.0
_THUMBNAIL = 200


@dataclass
class Studio:
    """What the addresses work with."""

    visitors: Visitors
    models: Models
    worker: Worker
    metrics: Metrics
    limits: Limits
    own_poses: Path
    cookie: str
    """Its name: cookies are shared by the ports of a host."""
    local: bool = True
    """Whether only this machine can reach the page."""
    token: str | None = None
    wrong: list[None] = field(default_factory=list)
    """Wrong tokens that are being answered."""

    def poses(self) -> dict[str, Pose]:
        """All poses by name."""
        return library(self.own_poses)


class Refused(Exception):
    """An answer other than what was asked for."""

    def __init__(self, status: int, problem: str, remedy: str = "") -> None:
        super().__init__(problem)
        self.status, self.problem, self.remedy = status, problem, remedy


def application(studio: Studio) -> FastAPI:
    """The whole page as an ASGI application."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.state.studio = studio
    app.add_middleware(Guard, local=studio.local, refused=lambda reason: studio.metrics.refusals.labels(reason).inc())
    _errors(app)
    _probes(app, studio)
    templates = Environment(loader=PackageLoader("pipelines.studio"), autoescape=True, trim_blocks=True,
                            lstrip_blocks=True, undefined=StrictUndefined)
    _pages(app, studio, templates)
    _doors(app, studio, templates)
    _photos(app, studio)
    _shoots(app, studio)
    app.mount("/static", StaticFiles(directory=HERE / "static"))
    return app


def _errors(app: FastAPI) -> None:
    @app.exception_handler(Refused)
    async def _refused(request: Request, error: Refused) -> Response:
        return JSONResponse({"problem": error.problem, "remedy": error.remedy}, error.status)

    @app.exception_handler(PhotoshootError)
    async def _problem(request: Request, error: PhotoshootError) -> Response:
        status = 503 if isinstance(error, MachineError) else 409
        return JSONResponse({"problem": error.problem, "remedy": error.remedy or ""}, status)

    @app.exception_handler(RequestValidationError)
    async def _malformed(request: Request, error: RequestValidationError) -> Response:
        return JSONResponse({"problem": "the request is not understood", "remedy": "load the page again"}, 422)


def _probes(app: FastAPI, studio: Studio) -> None:
    @app.get("/healthz")
    async def healthz() -> Response:
        return Response("alive\n", media_type="text/plain")

    @app.get("/readyz")
    async def readyz() -> Response:
        ready = studio.models.ready
        return Response("ready\n" if ready else f"not ready: {studio.models.problem or 'the model is being loaded'}\n",
                        200 if ready else 503, media_type="text/plain")

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(studio.metrics.text(), headers={"content-type": CONTENT_TYPE})


def _pages(app: FastAPI, studio: Studio, templates: Environment) -> None:
    @app.get("/")
    async def page(request: Request) -> Response:
        visitor = _visitor(studio, request)
        if visitor is None and studio.token is not None:
            return RedirectResponse("/login", 303)
        try:
            found = visitor or studio.visitors.new()
        except MachineError as error:
            studio.metrics.refusals.labels("room").inc()
            return HTMLResponse(templates.get_template("login.html").render(problem=str(error), form=False), 503)
        poses = sorted(studio.poses().values(), key=lambda pose: (list(TAGS).index(pose.tags[0]), pose.name))
        used = {tag for pose in poses for tag in pose.tags}
        html = templates.get_template("page.html").render(
            poses=poses, tags=[(tag, meaning) for tag, meaning in TAGS.items() if tag in used], sizes=SIZES,
            limits=studio.limits, local=studio.local)
        return _with_cookie(studio, request, HTMLResponse(html), found)

    @app.get("/api/state")
    async def state(request: Request) -> Response:
        visitor = _known(studio, request)
        return JSONResponse(state_of(visitor, studio.visitors, studio.models, studio.worker))

    @app.get("/poses/{name}.webp")
    async def pose(request: Request, name: str) -> Response:
        _known(studio, request)
        found = studio.poses().get(name)
        if found is None:
            raise Refused(404, "there is no such pose")
        picture = await run_in_threadpool(_thumbnail, found)
        return Response(picture, media_type="image/webp", headers={"cache-control": "private, max-age=86400"})


def _doors(app: FastAPI, studio: Studio, templates: Environment) -> None:
    @app.get("/login")
    async def login_page(request: Request) -> Response:
        if studio.token is None or _visitor(studio, request) is not None:
            return RedirectResponse("/", 303)
        return HTMLResponse(templates.get_template("login.html").render(problem="", form=True))

    @app.post("/login")
    async def login(request: Request) -> Response:
        fields = parse_qs((await _body(studio, request)).decode("utf-8", "replace"))
        if studio.token is None or _same(fields.get("token", [""])[0].strip(), studio.token):
            return _with_cookie(studio, request, RedirectResponse("/", 303), studio.visitors.new())
        studio.metrics.refusals.labels("login").inc()
        if len(studio.wrong) >= studio.limits.logins:
            problem, status = "Too many attempts: wait a moment.", 429
        else:
            problem, status = "That is not the token.", 401
            studio.wrong.append(None)
            try:
                await asyncio.sleep(_WRONG_TOKEN_S)
            finally:
                studio.wrong.pop()
        return HTMLResponse(templates.get_template("login.html").render(problem=problem, form=True), status)

    @app.post("/api/leave")
    async def leave(request: Request) -> Response:
        await run_in_threadpool(studio.visitors.forget, _known(studio, request))
        answer = JSONResponse({})
        answer.delete_cookie(studio.cookie, path="/", httponly=True, samesite="strict")
        return answer


def _photos(app: FastAPI, studio: Studio) -> None:
    @app.post("/api/photos/{kind}")
    async def bring(request: Request, kind: str) -> Response:
        visitor = _known(studio, request)
        if kind not in _KINDS:
            raise Refused(404, "there is no such kind of photo")
        photo = studio.visitors.new_photo(visitor, kind, unquote(request.headers.get("x-name", "photo")))
        await _receive(studio, request, visitor, photo)
        studio.worker.look(visitor)
        return JSONResponse({"id": photo.id}, 201)

    @app.delete("/api/photos/{photo_id}")
    async def remove(request: Request, photo_id: str) -> Response:
        visitor = _known(studio, request)
        if not studio.visitors.remove_photo(visitor, photo_id):
            raise Refused(404, "there is no such photo")
        studio.worker.look(visitor)
        return JSONResponse({})

    @app.get("/photos/{photo_id}/{what}.webp")
    async def show(request: Request, photo_id: str, what: str) -> Response:
        photo = _known(studio, request).photos.get(photo_id)
        path = {"shown": photo.shown, "plain": photo.plain}.get(what) if photo else None
        return _file(path, "image/webp")


def _shoots(app: FastAPI, studio: Studio) -> None:
    @app.post("/api/shoots")
    async def click(request: Request, wish: Wish) -> Response:
        visitor = _known(studio, request)
        _check(studio, visitor, wish)
        studio.visitors.room_for(0)
        shoot = studio.visitors.new_shoot(visitor, wish, len(wish.poses) or wish.count)
        studio.worker.paint(visitor, shoot)
        return JSONResponse({"id": shoot.id}, 202)

    @app.post("/api/shoots/{shoot_id}/stop")
    async def stop(request: Request, shoot_id: str) -> Response:
        if not studio.visitors.stop(_known(studio, request), shoot_id):
            raise Refused(404, "there is no such photoshoot")
        return JSONResponse({})

    @app.delete("/api/shoots/{shoot_id}")
    async def remove(request: Request, shoot_id: str) -> Response:
        if not studio.visitors.remove_shoot(_known(studio, request), shoot_id):
            raise Refused(404, "there is no such photoshoot")
        return JSONResponse({})

    @app.get("/pictures/{result_id}/{what}")
    async def picture(request: Request, result_id: str, what: str) -> Response:
        shoot = _known(studio, request).shoots.get(result_id.partition(".")[0])
        found = next((one for one in shoot.results if one.id == result_id), None) if shoot else None
        if found is not None and what == "small.webp":
            return _file(found.small, "image/webp")
        if found is not None and what == "large.png":
            return _file(found.path, "image/png")
        if found is not None and what == "download":
            return _file(found.path, "image/png", f"{found.name}.png")
        return _file(None, "")

    @app.get("/shoots/{shoot_id}/pictures.zip")
    async def everything(request: Request, shoot_id: str) -> Response:
        shoot = _known(studio, request).shoots.get(shoot_id)
        if shoot is None or not shoot.results:
            raise Refused(404, "there is nothing to download")
        return Response(await run_in_threadpool(_zipped, shoot), media_type="application/zip",
                        headers={"content-disposition": f'attachment; filename="photoshoot-{shoot.number + 1}.zip"'})


def _visitor(studio: Studio, request: Request) -> Visitor | None:
    return studio.visitors.known(request.cookies.get(studio.cookie, ""))


def _known(studio: Studio, request: Request) -> Visitor:
    visitor = _visitor(studio, request)
    if visitor is None:
        studio.metrics.refusals.labels("session").inc()
        raise Refused(401, "this session has ended, and its photos and pictures are removed", "load the page again")
    return visitor


def _with_cookie(studio: Studio, request: Request, answer: Response, visitor: Visitor) -> Response:
    secure = "https" in (request.url.scheme, request.headers.get("x-forwarded-proto", ""))
    answer.set_cookie(studio.cookie, visitor.id, path="/", httponly=True, samesite="strict", secure=secure)
    return answer


def _same(given: str, token: str) -> bool:
    """Compared in constant time, whatever the lengths."""
    return hmac.compare_digest(*(hashlib.sha256(text.encode()).digest() for text in (given, token)))


async def _body(studio: Studio, request: Request) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > studio.limits.request_bytes:
            studio.metrics.refusals.labels("size").inc()
            raise Refused(413, "the request is too large")
    return body


async def _receive(studio: Studio, request: Request, visitor: Visitor, photo: Photo) -> None:
    """Write what comes into the photo's file, and no more than a photo may have."""
    most = studio.limits.photo_bytes
    too_large = Refused(413, f"larger than the {most / 1e6:.0f} MB that a photo may have", "bring a smaller one")
    try:
        studio.visitors.room_for(int(request.headers.get("content-length") or most))
        with open(photo.path, "xb") as file:
            async for part in request.stream():
                photo.bytes += len(part)
                if photo.bytes > most:
                    raise too_large
                file.write(part)
        with studio.visitors.lock:
            if visitor.gone:
                raise Refused(401, "this session has ended")
            if photo.kind != "background" and len(visitor.of(photo.kind)) >= studio.limits.photos:
                raise InputError(f"{studio.limits.photos} photos are here already", remedy="remove one first")
            visitor.photos[photo.id] = photo
    except BaseException as error:
        photo.path.unlink(missing_ok=True)
        if isinstance(error, Refused | PhotoshootError):
            studio.metrics.refusals.labels("size" if error is too_large else "room").inc()
        raise


def _check(studio: Studio, visitor: Visitor, wish: Wish) -> None:
    """Refuse what cannot be painted."""
    unknown = [name for name in wish.poses if name not in studio.poses()]
    if unknown or (wish.tag and wish.tag not in TAGS):
        raise Refused(422, f"there is no pose {(unknown or [wish.tag])[0]}", "choose another")
    if (len(wish.poses) or wish.count) > studio.limits.pictures:
        raise Refused(422, f"{studio.limits.pictures} pictures at most", "choose fewer")
    if wish.version not in {choice.value for choice in studio.models.choices()} | {""}:
        raise Refused(422, f"there is no version {wish.version}", "choose another")

    def brought(kind: Kind) -> bool:
        return any(photo.state == GOOD for photo in visitor.of(kind))

    if not brought("person"):
        raise Refused(409, "no photo of the person", "bring at least one")
    if wish.clothes == "photos" and not brought("clothes"):
        raise Refused(409, "no photo of the clothes", "bring at least one")
    if wish.clothes == "photos" and not wish.consent:
        raise Refused(409, "somebody else's photo is used", "confirm that they agree")
    if wish.background == "picture" and not brought("background"):
        raise Refused(409, "no picture for the background", "bring one")


def _file(path: Path | None, media_type: str, download: str | None = None) -> Response:
    if path is None or not path.is_file():
        raise Refused(404, "there is no such picture")
    return FileResponse(path, media_type=media_type, filename=download)


def _zipped(shoot: Shoot) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for result in list(shoot.results):
            archive.write(result.path, result.path.name)
        if shoot.sheet:
            from components.shoot.delivery import SHEET

            archive.write(shoot.folder / SHEET, SHEET)
    return buffer.getvalue()


@lru_cache(maxsize=256)
def _thumbnail(pose: Pose) -> bytes:
    from components.core.poses.drawing import mannequin
    from components.core.poses.physique import template_physique
    from pipelines.studio.painting import webp

    return webp(mannequin(pose, template_physique(), _THUMBNAIL))



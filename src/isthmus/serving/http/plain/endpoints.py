"""The plain endpoints: POST /models/{name}/{verb}, for every verb that a model can."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from isthmus.errors import IsthmusError
from isthmus.serving.http.answering import Answering
from isthmus.serving.http.limits import Refusal
from isthmus.serving.http.plain.call import Call, Memory
from isthmus.serving.http.plain.formats import chosen
from isthmus.serving.http.plain.openapi import ERRORS, VERBS, Verb
from isthmus.serving.http.plain.uploads import Scratch, received
from isthmus.serving.http.plain.verbs import answers
from isthmus.serving.http.plain.writing import File, Result, written

_VALUES_AT_ONCE = 4  # times those of one request
_MOST_SAMPLES, _MOST_NEIGHBOURS = 10_000, 1_000


def plain(answering: Answering, stores: Mapping[str, Any]) -> APIRouter:
    """The endpoints. stores : `isthmus.Store`s by names of models, for `similar`."""
    router = APIRouter(prefix="/models", tags=["Rows and files"], responses=ERRORS)
    memory = Memory(_VALUES_AT_ONCE * answering.limits.values)
    repository = answering.repository

    async def answer(request: Request, name: str, verb: Verb, **options: Any) -> Response:
        served = repository.find(name)
        can = answers(served, stores.get(name))
        if verb.name not in can:
            raise Refusal(404, f"{name!r} can {', '.join(sorted(can))}, not {verb.name} ({served.kind})")
        scratch = Scratch()
        with scratch:
            uploads = []
            if not verb.optional or request.headers.get("content-type"):
                uploads = await received(request, scratch, answering.limits, tuple(verb.takes))
            call = Call(request, served, answering, memory, scratch, uploads)
            found = await can[verb.name](call, **options)
            return await _response(call, found)

    @router.get("", summary="The models, and what each can do")
    async def models() -> dict[str, Any]:
        found = {name: repository.find(name) for name in repository.names()}
        return {
            name: {"kind": served.kind, "can": sorted(answers(served, stores.get(name)))}
            for name, served in found.items()
        }

    def store_of(name: str) -> Any:
        store, digest = stores.get(name), repository.digest(name)
        if store is not None and digest is not None:
            try:
                store.check_model(name, digest)
            except IsthmusError as error:  # the model was loaded again, and is another one
                raise Refusal(503, str(error)) from error
        return store

    _add(router, answer, store_of)
    return router


def _add(router: APIRouter, answer: Callable[..., Awaitable[Response]], store_of: Callable[[str], Any]) -> None:
    """A route for each verb; some have options."""

    async def sample(
        request: Request,
        name: str,
        n: Annotated[int, Query(ge=1, le=_MOST_SAMPLES, description="How many")] = 1,
        seed: Annotated[int, Query(ge=0, lt=1 << 63, description="The same one makes the same samples")] = 0,
    ) -> Response:
        return await answer(request, name, verbs["sample"], n=n, seed=seed)

    async def similar(
        request: Request,
        name: str,
        k: Annotated[int, Query(ge=1, le=_MOST_NEIGHBOURS, description="Neighbours of each sample")] = 10,
    ) -> Response:
        return await answer(request, name, verbs["similar"], k=k, store=store_of(name))

    async def compress(
        request: Request,
        name: str,
        quality: Annotated[float | None, Query(ge=1, le=100, description="Of a lossy codec; 50 without it")] = None,
        embed_model: Annotated[bool, Query(description="Put the model inside, so that nothing else is needed")] = False,
    ) -> Response:
        return await answer(request, name, verbs["compress"], quality=quality, embed_model=embed_model)

    def without_options(verb: Verb) -> Any:
        async def asked(request: Request, name: str) -> Response:
            return await answer(request, name, verb)

        return asked

    verbs = {verb.name: verb for verb in VERBS}
    with_options: dict[str, Any] = {"sample": sample, "similar": similar, "compress": compress}
    for verb in VERBS:
        router.post(
            f"/{{name}}/{verb.name}",
            summary=verb.summary,
            description=verb.about,
            operation_id=verb.name,
            response_class=Response,
            responses=verb.responses,
            openapi_extra={"requestBody": verb.request_body},
        )(with_options.get(verb.name) or without_options(verb))


async def _response(call: Call, found: Result | File) -> Response:
    notes = [*call.notes, *found.notes]
    headers = {"X-Isthmus-Notes": _ascii("; ".join(notes))} if notes else {}
    if isinstance(found, File):
        return Response(found.content, headers=headers, media_type=found.format.media)
    possible = found.formats
    own = [upload.format for upload in call.uploads[:1] if upload.format in possible]
    form = chosen(call.accept, [*own, *(one for one in possible if one not in own)])
    content = await call.scratch.aside(lambda: written(found, form, call.limits))
    return Response(content, headers=headers, media_type=form.media)


def _ascii(text: str) -> str:
    return " ".join(text.encode("ascii", "backslashreplace").decode().split())[:1000]

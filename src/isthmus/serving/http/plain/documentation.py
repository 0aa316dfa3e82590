"""The page /docs: Swagger UI from an installed package, so that it works where there is no network."""

from __future__ import annotations

from importlib import resources

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, Response

_ASSETS = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css", "favicon-32x32.png": "image/png"}


def documentation(openapi_url: str) -> APIRouter:
    """The page and what it loads. openapi_url : where the description of the endpoints is."""
    router = APIRouter(prefix="/docs", include_in_schema=False)

    @router.get("")
    async def page(request: Request) -> HTMLResponse:
        root = request.scope.get("root_path", "").rstrip("/")
        script, style, icon = (f"{root}/docs/{name}" for name in _ASSETS)
        return get_swagger_ui_html(
            openapi_url=root + openapi_url,
            title="isthmus",
            swagger_js_url=script,
            swagger_css_url=style,
            swagger_favicon_url=icon,
        )

    def asset(name: str, media: str) -> None:
        @router.get(f"/{name}")
        async def content() -> Response:
            file = resources.files("fastapi_swagger") / "resources" / name
            return Response(file.read_bytes(), media_type=media, headers={"Cache-Control": "max-age=86400"})

    for name, media in _ASSETS.items():
        asset(name, media)
    return router

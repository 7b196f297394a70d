"""Answers that name their content by an ETag: who has it already is told so in an answer without a body."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Final

from fastapi import Header
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from mdus.endpoints.rest.problems import Problem, described

_HEADER: Final = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "The ETag of an answer that the caller has: if it would be the same again, the answer is 304.",
}
_ETAG: Final = {
    "ETag": {"description": "Names the content, for If-None-Match.", "schema": {"type": "string"}},
}

#: What is answered depends on who asks, and may be kept only by whoever asked.
_KEPT: Final = {"Cache-Control": "private, no-cache", "Vary": "Accept, Authorization"}


IfMatch = Annotated[
    str | None,
    Header(
        pattern=r"^[!-~ ]{1,200}$",
        description="The ETag of what the change is meant for: if it is no longer that, the answer is 412.",
    ),
]


class ConditionalRoute(APIRoute):
    """A route of which whole answers to GET have a strong ETag; one that is streamed has none."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        """Describe the header and the answer 304 of a route that reads; a cursor may be of another sort (409)."""
        if "GET" in (options.get("methods") or ["GET"]):
            extra = dict(options.get("openapi_extra") or {})
            parameters = extra.get("parameters", [])
            if _HEADER not in parameters:
                extra["parameters"] = [*parameters, _HEADER]
            options["openapi_extra"] = extra
            given = options.get("responses") or {}
            options["responses"] = {**_answers(endpoint), **given, 200: {"headers": _ETAG, **given.get(200, {})}}
        super().__init__(path, endpoint, **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""
        answered = super().get_route_handler()

        async def handler(request: Request) -> Response:
            refuse_unstorable(request)
            return tagged(request, await answered(request))

        return handler


def refuse_unstorable(request: Request) -> None:
    """Raise Problem (404) where a text of the address holds a NUL: no database keeps one, so nothing has that name."""
    asked = request.query_params.multi_items()
    named = [*(("path", *one) for one in request.path_params.items()), *(("query", *one) for one in asked)]
    for place, name, value in named:
        if "\0" in value:
            raise Problem(
                404,
                "nothing has such a name",
                at=f"{place}.{name}",
                expected="a text without the character NUL (%00)",
                found=value,
                mend="leave it out; ids are digits and letters",
            )


def tagged(request: Request, response: Response) -> Response:
    """Return a whole answer to GET with its ETag, or 304 where the caller has it; any other answer as it is.

    An ETag that the endpoint has given by itself stays: what is changed by it (If-Match) is named by its state.
    """
    body = getattr(response, "body", None)
    if request.method != "GET" or response.status_code != 200 or not isinstance(body, bytes):
        return response
    named = hashlib.sha256(response.headers.get("content-type", "").encode() + b"\n" + body).hexdigest()
    tag = response.headers.get("etag") or f'"{named[:32]}"'
    headers = {"ETag": tag, **_KEPT}
    if _has(request.headers.getlist("if-none-match"), tag):
        return Response(status_code=304, headers=headers)
    response.headers.update(headers)
    return response


def refuse_other(if_match: str | None, tag: str, *, mend: str) -> None:
    """Raise Problem (412) where a change is meant for another state than the one that `tag` names."""
    if if_match is not None and not _has([if_match], tag):
        raise Problem(
            412,
            "it has changed since it was read",
            at="header.if-match",
            expected=f"the ETag of what is there now, {tag}",
            found=if_match,
            mend=mend,
        )


def _has(lines: list[str], tag: str) -> bool:
    """Tell whether one of the tags named is this one; a weak one (`W/`) names the same content, `*` names any."""
    named = [one.strip().removeprefix("W/") for line in lines for one in line.split(",")]
    return tag in named or "*" in named


def _answers(endpoint: Callable[..., Any]) -> dict[int | str, dict[str, Any]]:
    answers: dict[int | str, dict[str, Any]] = {
        304: {"description": "The caller has this content: no body."},
    }
    return {**answers, **described(409)} if "cursor" in endpoint.__annotations__ else answers

"""In which form something is answered: what the header `Accept` asks for among the forms there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from starlette.requests import Request

from mdus.endpoints.rest.problems import Problem

JSON: Final = "application/json"
CSV: Final = "text/csv"
ARROW: Final = "application/vnd.apache.arrow.stream"
PARQUET: Final = "application/vnd.apache.parquet"

_ANY: Final = "*/*"


def form_of_answer(request: Request, forms: Sequence[str], *, missing: Mapping[str, str]) -> str:
    """Return the form a caller likes best; of those liked as much, and without a header, the first of `forms`.

    `missing` are forms that this installation lacks, with how to add them. Raises Problem (406) when no form will do.
    """
    accept = ",".join(request.headers.getlist("accept")).strip() or _ANY
    liked = {form: weight(accept, form) for form in forms}
    best = max((form for form in forms if form not in missing), key=lambda form: liked[form])
    if liked[best] > 0:
        return best
    mend = next((missing[form] for form in forms if form in missing and liked[form] > 0), "name one of them in Accept")
    raise Problem(
        406,
        "no form that is asked for can be answered",
        at="header.Accept",
        expected=" or ".join(form for form in forms if form not in missing),
        found=accept,
        mend=mend,
    )


def weight(accept: str, form: str) -> float:
    """Return how much a media type is liked, from 0 (not at all) to 1, by the most specific range that it is in."""
    found: list[tuple[int, float]] = []
    for one in accept.split(","):
        media, *parameters = (part.strip().lower() for part in one.split(";"))
        if media in (form, f"{form.partition('/')[0]}/*", _ANY):
            found.append((2 - media.count("*"), _quality(parameters)))
    return max(found)[1] if found else 0.0


def _quality(parameters: Sequence[str]) -> float:
    """Return the weight `q` of a range; one that is no number between 0 and 1 says nothing."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 1.0
    return 1.0

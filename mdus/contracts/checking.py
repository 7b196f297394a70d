"""A shape held against the contract, at start: every path that does not fit is named, all in one go."""

from __future__ import annotations

from collections.abc import Iterator

from mdus.contracts.catalog import HEADER_ELEMENT, LOG_ELEMENT, Direction, Root
from mdus.contracts.shape import Leaf, ShapeError, ShapeField, fields_of
from mdus.contracts.wire_types import WireType


def check(shape: type, root: Root) -> tuple[str, ...]:
    """Return the problems of `shape` as the shape of the message `root` (of its items, for a bulk); empty if it fits.

    A shape that is read must allow for everything optional to be missing; a shape that is written must fill everything
    mandatory. MessageHeader and Log are left to `envelope`, though a shape may name them.
    """
    reads = root.direction is Direction.RECEIVED
    return tuple(
        f"{shape.__qualname__} of {root.name}: {problem}"
        for problem in _problems(shape, root.message_type, reads=reads)
    )


def _problems(shape: type, of: WireType, *, reads: bool) -> Iterator[str]:
    try:
        fields = fields_of(shape)
    except ShapeError as error:
        yield str(error)
        return
    for item in fields:
        yield from _field_problems(item, of, reads=reads)
    if not reads:
        yield from _missing(of, [(item.path.elements, item) for item in fields], prefix="")


def _field_problems(item: ShapeField, of: WireType, *, reads: bool) -> Iterator[str]:
    here, optional = of, False
    last = len(item.path.elements) - 1
    for position, tag in enumerate(item.path.elements):
        child = here.child(tag)
        if child is None:
            yield f"{item.name}: {item.path}: {here.name} has no element {tag}"
            return
        optional = optional or not child.required
        is_place = position == last and item.path.attribute is None
        if child.repeated and not (is_place and item.repeated):
            yield f"{item.name}: {item.path}: {tag} repeats: " + (
                "its field must be a tuple" if is_place else "give it a shape of its own in a tuple"
            )
            return
        if is_place and item.repeated and not child.repeated:
            yield f"{item.name}: {item.path} stands there once and needs no tuple"
        here = child.type
    if item.path.attribute is not None:
        attribute = here.attribute(item.path.attribute)
        if attribute is None:
            yield f"{item.name}: {item.path}: {here.name} has no attribute {item.path.attribute}"
            return
        optional = optional or not attribute.required
        yield from _leaf_problems(item, item.leaf, attribute.builtin)
    elif item.nested is not None:
        if here.is_leaf and not any(not inner.path.elements for inner in _fields(item.nested)):
            yield f"{item.name}: {item.path} carries text: its shape needs a field at '.'"
        for problem in _problems(item.nested, here, reads=reads):
            yield f"{item.name}: {problem}"
    elif here.builtin is None:
        yield f"{item.name}: {item.path} holds elements and no text: it needs a shape of its own"
    else:
        yield from _leaf_problems(item, item.leaf, here.builtin)
    if reads and optional and not item.has_default and not item.repeated:
        yield f"{item.name}: {item.path} may be missing: give its type `| None` or the field a default"


def _fields(shape: type) -> tuple[ShapeField, ...]:
    try:
        return fields_of(shape)
    except ShapeError:
        return ()


def _leaf_problems(item: ShapeField, leaf: Leaf | None, builtin: str) -> Iterator[str]:
    if leaf is not None and builtin not in leaf.builtins:
        yield f"{item.name}: {item.path} is xsd:{builtin}, which {item.kind} cannot stand for"


def _missing(of: WireType, fields: list[tuple[tuple[str, ...], ShapeField]], *, prefix: str) -> Iterator[str]:
    """Yield what is mandatory in `of`, given that the element is written, and filled by no field."""
    if any(not elements and item.nested is not None for elements, item in fields):
        return
    for attribute in of.attributes:
        if attribute.required and not any(not e and item.path.attribute == attribute.name for e, item in fields):
            yield f"nothing fills the mandatory {prefix}@{attribute.name}"
    for child in of.children:
        below = [(elements[1:], item) for elements, item in fields if elements[:1] == (child.name,)]
        if below:
            yield from _missing(child.type, below, prefix=f"{prefix}{child.name}/")
        elif child.required and not (prefix == "" and child.name in (HEADER_ELEMENT, LOG_ELEMENT)):
            yield f"nothing fills the mandatory {prefix}{child.name}"

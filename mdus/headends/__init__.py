"""Kinds of head ends: one folder each, exposing HEAD_END; no folder knows another. What starts with `_` is shared."""

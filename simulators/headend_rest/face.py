"""The face of this kind: /v1 over HTTP, and pushes as JSON, which is what the fleet tells anyway."""

import json
from collections.abc import Sequence

from starlette.routing import BaseRoute

from simulators.fleet.deliveries import Push
from simulators.fleet.face import Call, CallingFace, Kind
from simulators.headend_rest.api import Api
from simulators.headend_rest.faults import FAULTS


class Rest(CallingFace):
    """A head end with results by callback."""

    def routes(self) -> Sequence[BaseRoute]:
        """This will list the routes of /v1."""
        return Api(self.head_end, user=self.options.user, password=self.options.password).routes()

    def call(self, push: Push) -> Call:
        """This will push to `<base>/<topic>`."""
        return Call(
            url=f"{push.to}/{push.topic}",
            content=json.dumps(push.body, separators=(",", ":")).encode(),
            headers={"Content-Type": "application/json"},
        )


KIND = Kind(
    name="rest",
    description="A simulated head end with a JSON API (docs/head_ends/rest.md) and the meters behind it.",
    face=Rest,
    faults=FAULTS,
)

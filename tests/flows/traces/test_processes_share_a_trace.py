"""`mdus serve` and its worker, two processes, put their parts of one order into one trace at a real collector."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import httpx

from tests.flows.intake.messages import create_device, new_uuid
from tests.flows.processes.running import mdus, sap, until
from tests.flows.traces.collector import collector, spans_in

HEAD_ENDS = '[[head_ends]]\nname = "north"\nkind = "rest"\nurl = "http://127.0.0.1:9"\nams_ids = ["AM01"]\n'


def test_an_order_of_saps_is_one_trace(tmp_path: Path) -> None:
    (tmp_path / "head_ends.toml").write_text(HEAD_ENDS)
    uuid = new_uuid()
    with collector() as (traces, got), sap() as (url, received):
        settings = {
            "MDUS_CONFIG": str(tmp_path),
            "MDUS_DATABASE__URL": f"sqlite:///{tmp_path / 'mdus.db'}",
            "MDUS_CIS__URL": url,
            "MDUS_TELEMETRY__OTLP_URL": traces,
        }
        with mdus("serve", "--port", "0", folder=tmp_path, **settings) as served:
            body = create_device(uuid=uuid)
            answer = httpx.post(f"{served.url}/sap", content=body, headers={"Content-Type": "text/xml"})
            assert answer.status_code == 202
            until(lambda: received, what="the confirmation")
            assert served.end() == 0  # what is left is sent at the end
    spans = [span for span in spans_in(got) if span.trace_id == UUID(uuid).bytes]
    assert {span.name for span in spans} == {"intake", "decide", "deliver"}
    (root,) = [span for span in spans if not span.parent_span_id]
    assert root.name == "intake"
    assert {span.parent_span_id for span in spans if span is not root} == {root.span_id}

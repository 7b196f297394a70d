"""UtilitiesTimeSeriesERPItemBulkCreateRequest: we send SAP values that it does not have yet.

Settled by SAP's UtilitiesTimeSeriesERPItemBulkCreateConfirmation; changes of what it has go by
UtilitiesTimeSeriesERPItemBulkChangeRequest. The contract has
the bulk only. What a message holds and what an answer means is in `_time_series_item`.
"""

from __future__ import annotations

from mdus.domain.time_series_upload import Operation
from mdus.messaging.patterns import RequestSent
from mdus.services import _time_series_item as item

SERVICE = RequestSent(
    bulk_request="UtilitiesTimeSeriesERPItemBulkCreateRequest",
    bulk_confirmation="UtilitiesTimeSeriesERPItemBulkCreateConfirmation",
    content_shape=item.Content,
    packed_shape=item.Packed,
    select=item.selecting(Operation.CREATE),
    build=item.build,
    unpack=item.unpack,
    shape=item.Confirmation,
    order_by="time_series_id",
    settled_by=item.settled_by,
    load=item.load,
    settle=item.settle,
)

"""UtilitiesTimeSeriesERPItemBulkChangeRequest: we send SAP values that differ from those it has.

Settled by SAP's UtilitiesTimeSeriesERPItemBulkChangeConfirmation; what it has nothing of goes by
UtilitiesTimeSeriesERPItemBulkCreateRequest. The contract has
the bulk only. What a message holds and what an answer means is in `_time_series_item`.
"""

from __future__ import annotations

from mdus.domain.time_series_upload import Operation
from mdus.services._time_series_item import service

SERVICE = service(
    Operation.CHANGE,
    request="UtilitiesTimeSeriesERPItemBulkChangeRequest",
    confirmation="UtilitiesTimeSeriesERPItemBulkChangeConfirmation",
)

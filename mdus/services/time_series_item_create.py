"""UtilitiesTimeSeriesERPItemBulkCreateRequest: we send SAP values that it does not have yet.

Settled by SAP's UtilitiesTimeSeriesERPItemBulkCreateConfirmation; changes of what it has go by
UtilitiesTimeSeriesERPItemBulkChangeRequest. The contract has
the bulk only. What a message holds and what an answer means is in `_time_series_item`.
"""

from __future__ import annotations

from mdus.domain.time_series_upload import Operation
from mdus.services._time_series_item import service

SERVICE = service(
    Operation.CREATE,
    request="UtilitiesTimeSeriesERPItemBulkCreateRequest",
    confirmation="UtilitiesTimeSeriesERPItemBulkCreateConfirmation",
)

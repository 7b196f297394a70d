"""How this head end may misbehave: the shared faults its messages can show, and those only IEC 61968-100 knows."""

from simulators.fleet.faults import ANY_KIND, SHARED, Answer, Fault, table

#: Where a fault may part the results of a read.
PARTS = "reply"

#: Nobody asks here for a sign of life: it is a read like any other.
_NEVER = {"no_response_is_no_outage"}

FAULTS = table(
    *(name for name in SHARED if name not in _NEVER),
    own=(
        Fault(
            name="too_many_items",
            description="A submit is refused as having too many items (3.1), one of a single item as busy (5.1).",
            kinds=ANY_KIND,
            answer=Answer.LOST,
        ),
        Fault(
            name="attempted_and_failed",
            description="A control is carried out, and told as attempted and failed (5.3).",
            kinds=("switch",),
            one_device=True,
        ),
        Fault(
            name="partial_replies",
            description="The values of meters that were read are told in two parts, first 0.1, then 0.2.",
            kinds=(PARTS,),
        ),
    ),
)

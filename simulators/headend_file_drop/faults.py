"""How this head end may misbehave: of the shared faults those that files can show, and those only files have."""

from simulators.fleet.faults import Fault, table

#: Where the faults of files fire: at each file that is left.
FILE = "file"

#: Where those fire that only records of meters' values can have.
RECORDS = "records"

FAULTS = table(
    "never_answers",
    "overloaded",
    "duplicate_callback",
    "duplicate_callback_other_value",
    "split_callbacks",
    "wrong_meter_in_callback",
    "per_meter_reject",
    "accepts_then_silence",
    "late_result",
    "meter_clock_drift",
    "stamp_of_1970",
    "intervals_late",
    "interval_gap",
    "interval_revised",
    "duplicate_block",
    "event_storm",
    "duplicate_event",
    own=(
        Fault(
            name="half_written",
            description="A file lies there under its name while only the first half of it is written.",
            kinds=(FILE,),
        ),
        Fault(
            name="renamed_while_writing",
            description="A file gets its final name while it is still being written.",
            kinds=(FILE,),
        ),
        Fault(
            name="truncated_gz",
            description="A compressed file is left cut off, and later whole under the same name.",
            kinds=(FILE,),
        ),
        Fault(
            name="duplicate_name",
            description="Two files with different content are left under one name, one after the other.",
            kinds=(RECORDS,),
        ),
        Fault(
            name="duplicate_file",
            description="A file is left a second time under another name.",
            kinds=(FILE,),
        ),
        Fault(name="zero_byte", description="A file without a byte is left beside another.", kinds=(FILE,)),
        Fault(name="bom", description="A file begins with a byte order mark.", kinds=(FILE,)),
        Fault(name="crlf", description="The lines of a file end in CR LF.", kinds=(FILE,)),
        Fault(name="gz", description="A file is compressed, whatever its name says.", kinds=(FILE,)),
        Fault(
            name="bad_record",
            description="A record of a file cannot be read; the others can.",
            kinds=(FILE,),
        ),
        Fault(
            name="late_file",
            description="A file is left seconds late, behind others.",
            kinds=(FILE,),
        ),
        Fault(
            name="catch_up_rows",
            description="A file has rows of the days before it again.",
            kinds=(RECORDS,),
        ),
        Fault(
            name="clock_off_header",
            description="The creation time in a file, and the file's own, is the first of January 1970.",
            kinds=(FILE,),
        ),
    ),
)

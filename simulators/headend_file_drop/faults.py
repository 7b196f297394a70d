"""How this head end may misbehave: of the shared faults those that files can show, and those only files have."""

from simulators.fleet.faults import SHARED, Fault, table

#: Where the faults of files fire: at each file that is left.
FILE = "file"

#: Where those fire that only records of meters' values can have: there are several, or a file was left before.
SEVERAL_RECORDS = "several records"
FURTHER_RECORDS = "further records"

#: Nothing is switched by a file, and nobody is asked by one for a sign of life.
_NEVER_ASKED = {
    "ambiguous_submit",
    "stuck_relay",
    "relay_stuck_but_acknowledged",
    "relay_moved_but_denied",
    "arm_only_meter",
    "load_side_voltage_blocks_close",
    "disconnect_refused",
    "no_response_is_no_outage",
}

#: A request has no answer that could go wrong, and no login: one that is not taken lies there, whatever the reason.
#: `never_answers`, `overloaded` (for a moment) and `maintenance_window` (for a minute) show that.
_NEVER_ANSWERED = {
    "login_refused_once",
    "max_pending",
    "html_error_page",
    "html_error_page_after_acceptance",
    "empty_200",
    "soap_fault",
}

FAULTS = table(
    *(name for name in SHARED if name not in _NEVER_ASKED | _NEVER_ANSWERED),
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
            kinds=(SEVERAL_RECORDS,),
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
            description="A file has the rows of the file before it again.",
            kinds=(FURTHER_RECORDS,),
        ),
        Fault(
            name="clock_off_header",
            description="The creation time in a file, and the file's own, is the first of January 1970.",
            kinds=(FILE,),
        ),
    ),
)

#: Each of these makes one delivery that cannot be read as a whole.
STRAYS = frozenset({"bad_record"})

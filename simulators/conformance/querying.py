"""Scenes of the one synchronous service: SAP asks for the values of a profile and waits."""

from collections.abc import Iterator

from lxml import etree

from simulators.conformance import bodies, details
from simulators.conformance.calling import fault_of, message_of, standard_fault_of
from simulators.conformance.contract import SERVICES, Form
from simulators.conformance.judging import described, refusal_findings
from simulators.conformance.ledger import Answer, Posting
from simulators.conformance.scene import Cell, Scene
from simulators.conformance.stage import NO_METER, Stage
from simulators.conformance.starting import Upload
from simulators.conformance.subjects import Subject
from simulators.conformance.triggering import NotTriggered
from simulators.conformance.verdicts import Finding, Variant, Verdict, verdict
from simulators.conformance.writing import SPOILS, stamp
from simulators.sap_cis.checks import text

_SERVICE = SERVICES["time_series_query"]
_QUERY = _SERVICE.requests[Form.SINGLE]
_RESPONSE = _SERVICE.confirmations[Form.SINGLE]
_FAULT = "StandardMessageFault"


class Querying(Scene):
    """The query put through one variant; three rows are judged: query, response and fault."""

    def __init__(self, variant: Variant, *, sender: str) -> None:
        super().__init__(_SERVICE, Form.SINGLE, variant)
        self._sender = sender
        self._postings: list[Posting] = []
        self._unspoiled: list[Posting] = []
        self._without_values = ""

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The query's cell, and the response's or the fault's."""
        answer = _FAULT if self.variant is Variant.MALFORMED else _RESPONSE
        return ((_QUERY, self.variant), (answer, self.variant))

    @property
    def meters(self) -> int:
        """A meter with interval values, where values are asked for."""
        return 1 if self.variant in (Variant.OK, Variant.DUPLICATE) else 0

    async def play(self, stage: Stage) -> None:
        """This will ask."""
        subject = stage.subjects.take(self._sender, field=self.meters > 0)
        self.subjects = [subject]
        start, end = Upload.day(stage)
        content = bodies.time_series_query(subject.profile, stage.world, start=start, end=end)
        message = stage.message(_SERVICE.name, Form.SINGLE, [(subject.profile, content)])
        if self.variant is Variant.MALFORMED:
            for how in SPOILS:
                self._postings.append(await stage.caller.send_spoiled(message, how, sender=self._sender))
            # Unspoiled, the like of it is answered: that of an unknown profile.
            self._unspoiled = [await stage.caller.send(message, sender=self._sender)]
            return
        if self.variant is not Variant.BUSINESS_ERROR:  # an unknown profile
            await self._values(stage, subject)
        posting = await stage.caller.send(message, sender=self._sender)
        self._postings.append(posting)
        if self.variant is Variant.DUPLICATE:
            await stage.caller.post(posting)

    async def _values(self, stage: Stage, subject: Subject) -> None:
        """A profile with values; without a meter of the field one without."""
        if not subject.in_field:
            self._without_values = NO_METER
            await stage.register(subject, intervals=True)
        else:
            await stage.usable(subject, intervals=True)
        content = bodies.measurement_task_assignment(subject, stage.world)
        await stage.establish("measurement_task_assignment", subject, content, key=subject.profile)
        if not subject.in_field:
            return
        start, end = map(stamp, Upload.day(stage))
        try:
            await stage.pull("interval_values", subject, profile=subject.profile, **{"from": start, "to": end})
        except NotTriggered as error:
            self._without_values = str(error)
            return
        roots = SERVICES["time_series_create"].requests.values()
        await stage.ledger.until(lambda: bool(stage.ledger.about([subject.profile], roots=roots)), stage.seconds)

    def judge(self, stage: Stage) -> dict[Cell, Verdict]:
        """This will judge the rows."""
        (query, other) = self.cells
        answers = [answer for posting in self._postings for answer in posting.answers]
        if self.variant is Variant.MALFORMED:
            refused = list(refusal_findings(self._postings))
            for posting in self._unspoiled:
                refused += _asked(posting.answers[-1])
            postings = [*self._postings, *self._unspoiled]
            return {
                query: verdict(refused, postings=postings),
                other: verdict(self._fault_findings(stage), postings=postings),
            }
        asked = [finding for answer in answers for finding in _asked(answer)]
        responses = [message for answer in answers if (message := message_of(answer)) is not None]
        found = [finding for response in responses for finding in self._response_findings(stage, response)]
        if not responses:
            found.append(Finding(expected=f"a {_RESPONSE}", came="none"))
        elif self.variant is Variant.DUPLICATE and len({_canonical(response) for response in responses}) > 1:
            found.append(Finding(expected="the same answer to the same question", came="another one"))
        return {
            query: verdict(asked, postings=self._postings),
            other: verdict(found, postings=self._postings, untriggered=self._without_values),
        }

    def _response_findings(self, stage: Stage, response: etree._Element) -> Iterator[Finding]:
        if etree.QName(response).localname != _RESPONSE:
            yield Finding(expected=f"a {_RESPONSE}", came=str(response.tag))
            return
        if violations := stage.contract.violations(response):
            yield Finding(expected=f"valid against {_RESPONSE}.xsd", came="; ".join(violations[:5]))
        series, log = response.find("UtilitiesTimeSeries"), response.find("Log")
        if self.variant is Variant.BUSINESS_ERROR:
            if series is not None:
                yield Finding(expected="no UtilitiesTimeSeries of an unknown profile", came="one")
            severities = [text(item, "SeverityCode") or "" for item in ([] if log is None else log.iterfind("Item"))]
            code = text(log, "BusinessDocumentProcessingResultCode")
            if code != "5" and not any(severity in ("3", "4") for severity in severities):
                yield Finding(expected="a Log that says why (result code 5, or an error)", came=f"result code {code}")
        elif series is not None:
            start, end = Upload.day(stage)
            key = text(series, "ID")
            if key is not None and key != self.subjects[0].profile:
                yield Finding(expected=f"the profile {self.subjects[0].profile}", came=key)
            yield from details.answered(series, start=start, end=end)
        elif not self._without_values:
            yield Finding(expected="the values that were delivered", came="no UtilitiesTimeSeries")

    def _fault_findings(self, stage: Stage) -> Iterator[Finding]:
        for posting in self._postings:
            for answer in posting.answers:
                fault = fault_of(answer)
                if fault is None:
                    continue  # the query's row has said so
                if answer.status != 500:
                    yield Finding(expected="a SOAP 1.1 fault with HTTP status 500", came=described(answer))
                detail = standard_fault_of(answer)
                if detail is not None and (violations := stage.contract.violations(detail)):
                    yield Finding(expected=f"valid against {_FAULT}.xsd", came="; ".join(violations[:5]))
        if not any(fault_of(answer) is not None for posting in self._postings for answer in posting.answers):
            yield Finding(expected="a SOAP 1.1 fault", came="none")


def _asked(answer: Answer) -> Iterator[Finding]:
    message = message_of(answer)
    if answer.status != 200 or message is None or fault_of(answer) is not None:
        yield Finding(expected=f"200 with a {_RESPONSE}, whatever is to be said", came=described(answer))


def _canonical(element: etree._Element) -> bytes:
    return etree.tostring(element, method="c14n", exclusive=True)

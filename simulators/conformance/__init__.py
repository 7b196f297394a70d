"""The conformance tester: plays SAP against any MDUS and says, message by message, what it does right.

`python -m simulators.conformance --help`, also behind `mdus conformance`. It reads wsdl/ and xsd/ for itself, knows
nothing of the MDUS it tests but its URL, and judges only what SAP can see: HTTP answers, and the messages that come.
"""

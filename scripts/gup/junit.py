# SPDX-License-Identifier: GPL-2.0
"""junit.xml of a run, for what reads that: a testsuite for each suite, a testcase for each result, and one for
the verdict, which may be bad where each result is good."""

import re
import xml.etree.ElementTree as xml

# What XML 1.0 cannot hold, not even escaped.
FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
ELEMENTS = {"FAIL": "failure", "ERROR": "error", "SKIP": "skipped"}


def add(suite, name, element=None, message=""):
    case = xml.SubElement(suite, "testcase", classname=suite.get("name"), name=FORBIDDEN.sub("?", name))
    if element:
        xml.SubElement(case, element).text = FORBIDDEN.sub("?", message)


def text(results, said, verdict, what, seconds):
    """results: {suite: {status: [names]}}; said: {test: lines of the console}; verdict and what is wrong."""
    top = xml.Element("testsuites", name="gup", time=f"{seconds:.2f}")
    for name, by_status in [*results.items(), ("verdict", {})]:
        suite = xml.SubElement(top, "testsuite", name=name)
        for status, names in by_status.items():
            for test in names:
                add(suite, test, ELEMENTS.get(status), "\n".join(said.get(f"{name}.{test}", [])))
        if name == "verdict":
            add(suite, "the run passes", "failure" if verdict != "pass" else None, f"{verdict}: {what}")
        suite.set("tests", str(len(suite)))
        for attribute, element in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            suite.set(attribute, str(len(suite.findall(f"testcase/{element}"))))
    xml.indent(top)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + xml.tostring(top, encoding="unicode") + "\n"

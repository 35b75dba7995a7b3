"""Prints `PASSED FAILED` for a JUnit report, which pytest and Node's runner both write.

A skipped test counts as failed: nothing here may be left out because something is missing.
"""

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

# Node's runner writes the colours of a message as they are, which XML does not allow.
report = re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f]", "", Path(sys.argv[1]).read_text(encoding="utf-8"))
cases = list(ElementTree.fromstring(report.encode()).iter("testcase"))
failed = sum(any(case.find(tag) is not None for tag in ("failure", "error", "skipped")) for case in cases)
print(len(cases) - failed, failed)

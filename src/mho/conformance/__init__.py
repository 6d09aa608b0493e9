"""mho beside the numbers of other simulators, case by case, and who is right where they differ."""

from mho.conformance.rows import Row as Row
from mho.conformance.rows import Verdict as Verdict
from mho.conformance.rows import goldens as goldens
from mho.conformance.suite import conformance as conformance

"""mho beside the numbers of other simulators, case by case, and who is right where they differ."""

from mho.conformance.installed import Peer as Peer
from mho.conformance.installed import find_peers as find_peers
from mho.conformance.installed import peer_rows as peer_rows
from mho.conformance.rows import Row as Row
from mho.conformance.rows import Verdict as Verdict
from mho.conformance.rows import goldens as goldens
from mho.conformance.suite import conformance as conformance

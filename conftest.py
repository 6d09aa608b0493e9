"""What pytest leaves out where a package is not installed."""

from importlib.util import find_spec

_FACE = "src/mho/compat/crosssim/simulator/algorithms/dnn"
collect_ignore = [] if find_spec("keras") else ["src/mho/keras", f"{_FACE}/keras"]

"""What converters see on data, the full scales that follow, and what each correction brings."""

from mho.calibration.batches import run as run
from mho.calibration.batches import run_all as run_all
from mho.calibration.descriptions import calibrated_hardware as calibrated_hardware
from mho.calibration.descriptions import load_hardware as load_hardware
from mho.calibration.descriptions import save_hardware as save_hardware
from mho.calibration.full_scales import calibrate as calibrate
from mho.calibration.profiling import PERCENTILES as PERCENTILES
from mho.calibration.profiling import LayerProfile as LayerProfile
from mho.calibration.profiling import Profile as Profile
from mho.calibration.profiling import profile as profile
from mho.calibration.steps import Step as Step
from mho.calibration.steps import Steps as Steps
from mho.calibration.steps import before_after as before_after

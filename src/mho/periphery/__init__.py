"""What stands around the arrays: drift compensation and digital correction."""

from mho.periphery.affine import AffineFit as AffineFit
from mho.periphery.compensation import Affine as Affine
from mho.periphery.compensation import ColumnDrift as ColumnDrift
from mho.periphery.compensation import Compensation as Compensation
from mho.periphery.compensation import CorrectionFit as CorrectionFit
from mho.periphery.compensation import GlobalDrift as GlobalDrift
from mho.periphery.compensation import KnownDrift as KnownDrift

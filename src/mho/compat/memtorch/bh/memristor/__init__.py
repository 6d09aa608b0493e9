"""Memristor models."""

from mho.compat.memtorch.bh.memristor import window as window
from mho.compat.memtorch.bh.memristor.Memristor import Memristor as Memristor
from mho.compat.memtorch.bh.memristor.models import VTEAM as VTEAM
from mho.compat.memtorch.bh.memristor.models import Data_Driven as Data_Driven
from mho.compat.memtorch.bh.memristor.models import Data_Driven2021 as Data_Driven2021
from mho.compat.memtorch.bh.memristor.models import LinearIonDrift as LinearIonDrift
from mho.compat.memtorch.bh.memristor.models import Stanford_PKU as Stanford_PKU

from .dose import lung_dose as lung_dose
from .shunt import counted_shunt as counted_shunt
from .spect import lung_mass as lung_mass
from .spect import spect_shunt as spect_shunt

from .inputs import Condition as Condition
from .inputs import Spread as Spread
from .mean_dose import MeanDoseSpread as MeanDoseSpread
from .mean_dose import mean_dose_spread as mean_dose_spread
from .recovery import Recovery as Recovery
from .recovery import fit_recovery as fit_recovery
from .run import with_uncertainty as with_uncertainty

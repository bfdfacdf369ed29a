"""What can be tuned: one instrument per module, all with the same five methods."""

from ._entrant import Entrant as Entrant
from ._instrument import Instrument as Instrument
from ._licence import Licence as Licence
from ._reweighting import Reweighting as Reweighting
from ._segmentation import Segmentation as Segmentation
from ._subsidy import Subsidy as Subsidy

INSTRUMENTS = {each.__name__.lower(): each for each in (Subsidy, Entrant, Reweighting, Segmentation, Licence)}

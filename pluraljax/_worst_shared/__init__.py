"""What a user gets in her worst equilibrium when users share policies: a search on the host."""

from ._base import base_bracket as base_bracket
from ._batch import WorstEquilibria as WorstEquilibria
from ._batch import worst_equilibria as worst_equilibria
from ._outlook import APART as APART
from ._outlook import Outlook as Outlook
from ._outlook import Ran as Ran
from ._outlook import outlook_of as outlook_of
from ._proof import SegmentProof as SegmentProof
from ._question import shared_proof as shared_proof
from ._question import worst_equilibrium as worst_equilibrium
from ._result import WorstEquilibrium as WorstEquilibrium
from ._silence import PublicSilence as PublicSilence
from ._silence import silence_by_cells as silence_by_cells

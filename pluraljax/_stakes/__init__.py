"""What bounds and candidates both speak of: stakes, who receives, and multipliers. It solves and proves nothing."""

from ._multipliers import Multipliers as Multipliers
from ._receiver import Receiver as Receiver
from ._segment import SegmentStakes as SegmentStakes
from ._segment import aligned_action as aligned_action
from ._view import View as View
from ._view import fold_actions as fold_actions
from ._view import view as view
from ._view import with_two_actions as with_two_actions

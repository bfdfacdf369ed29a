"""Evaluates both ends of brackets at given candidates. Certifies; never imports what solves."""

from ._coverage import Stand as Stand
from ._coverage import coverage_cap as coverage_cap
from ._coverage import coverage_lower as coverage_lower
from ._coverage import coverage_upper as coverage_upper
from ._crowd import NEAR as NEAR
from ._crowd import outcomes_upper as outcomes_upper
from ._crowd import winning_lower as winning_lower
from ._crowd import winning_upper as winning_upper
from ._fit import (
    Fit as Fit,
)
from ._fit import (
    fit_error as fit_error,
)
from ._fit import (
    fit_lower as fit_lower,
)
from ._fit import (
    fit_offset as fit_offset,
)
from ._fit import (
    fit_value_at as fit_value_at,
)
from ._fit import (
    largest_weights as largest_weights,
)
from ._fit import (
    lay_out as lay_out,
)
from ._fit import (
    payoff_range as payoff_range,
)
from ._fit import (
    usable_weights as usable_weights,
)
from ._guarantee import (
    equalities as equalities,
)
from ._guarantee import (
    floor_rounding as floor_rounding,
)
from ._guarantee import (
    floors as floors,
)
from ._guarantee import (
    guarantee_lower as guarantee_lower,
)
from ._guarantee import (
    guarantee_upper as guarantee_upper,
)
from ._guarantee import (
    guarantee_value_at as guarantee_value_at,
)
from ._outcome import (
    best_response_line as best_response_line,
)
from ._outcome import (
    outcome_lower as outcome_lower,
)
from ._public import (
    Audience as Audience,
)
from ._public import (
    Ends as Ends,
)
from ._public import (
    Heard as Heard,
)
from ._public import (
    gain_if_meant as gain_if_meant,
)
from ._public import (
    possible as possible,
)
from ._public import (
    private_upper as private_upper,
)
from ._public import (
    public_upper as public_upper,
)
from ._public import (
    sets_of as sets_of,
)
from ._public import (
    sure_gain as sure_gain,
)
from ._sense import (
    Comparison as Comparison,
)
from ._sense import (
    Instinct as Instinct,
)
from ._sense import (
    Sense as Sense,
)
from ._sense import (
    brings_nothing as brings_nothing,
)
from ._sense import (
    brings_something as brings_something,
)
from ._sense import (
    compare as compare,
)
from ._sense import (
    compare_queries as compare_queries,
)
from ._sense import (
    instinct_of as instinct_of,
)
from ._sense import (
    tells_all as tells_all,
)
from ._witness import (
    both_strictly as both_strictly,
)
from ._witness import (
    incentive_slack as incentive_slack,
)
from ._witness import (
    least_value as least_value,
)
from ._witness import (
    obeyed as obeyed,
)
from ._witness import (
    optimal_play as optimal_play,
)
from ._witness import (
    silent_play as silent_play,
)
from ._witness import (
    strictly as strictly,
)
from ._witness import (
    value_of as value_of,
)

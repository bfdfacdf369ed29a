"""The frontier by HiGHS, straight from its definition: slow, and shares no code with the package.

Outcomes are menus q[t, x, a]; the user's incentives are written out with one auxiliary variable per type, report and
recommendation. Bounds are kept as they are and only the costs and right-hand sides of one model change (model reuse).
"""

import highspy
import numpy as np

INFINITY = highspy.kHighsInf


class FrontierOracle:
    """Programmes over the outcomes of one user: stakes `user[type evidence action]`, `provider[provider type ...]`."""

    def __init__(self, user, provider):
        self.user, self.provider = np.asarray(user, float), np.asarray(provider, float)
        self.types, self.evidences, self.actions = self.user.shape
        self.entries = self.user.size
        self.aligned = self.user.max(axis=-1).sum()
        self.silent = self.user.sum(axis=1).max(axis=-1).sum()
        self.solved = 0
        self._phi_at_silent = None
        self._build()

    def _build(self):
        """Columns: q, auxiliary values m[t, s, a], then the level t of the min-max. Rows: see the order of `rows`."""
        types, actions, entries = self.types, self.actions, self.entries
        place = np.arange(entries).reshape(self.user.shape)
        auxiliary = entries + np.arange(types * types * actions).reshape(types, types, actions)
        level = entries + auxiliary.size
        rows = []
        for t, x in np.ndindex(types, self.evidences):
            rows.append((1.0, 1.0, place[t, x], np.ones(actions)))
        for t, a, b in np.ndindex(types, actions, actions):
            if a != b:  # obedience
                rows.append((0.0, INFINITY, place[t, :, a], self.user[t, :, a] - self.user[t, :, b]))
        for t, s in np.argwhere(~np.eye(types, dtype=bool)):
            for a in range(actions):
                for b in range(actions):  # m[t, s, a] >= sum_x q(a | s, x) U[t, x, b]
                    index = np.r_[auxiliary[t, s, a], place[s, :, a]]
                    rows.append((0.0, INFINITY, index, np.r_[1.0, -self.user[t, :, b]]))
            index = np.r_[auxiliary[t, s], place[t].ravel()]
            rows.append((-INFINITY, 0.0, index, np.r_[np.ones(actions), -self.user[t].ravel()]))
        self.value_row = len(rows)
        rows.append((-INFINITY, INFINITY, place.ravel(), self.user.ravel()))
        self.provider_rows = len(rows) + np.arange(len(self.provider))
        rows += [(-INFINITY, INFINITY, np.r_[place.ravel(), level], np.r_[v.ravel(), 1.0]) for v in self.provider]
        self.columns = level + 1
        solver = highspy.Highs()
        solver.setOptionValue("output_flag", False)
        solver.setOptionValue("presolve", "off")
        solver.setOptionValue("threads", 1)
        for option in ("primal_feasibility_tolerance", "dual_feasibility_tolerance"):
            solver.setOptionValue(option, 1e-9)
        lower = np.r_[np.zeros(entries), np.full(auxiliary.size, -INFINITY), 0.0]
        for low in lower:
            solver.addVar(low, INFINITY)
        for low, high, index, values in rows:
            solver.addRow(low, high, len(index), index.astype(np.int32), values.astype(float))
        self.solver = solver

    def _minimise(self, cost, value_between, floors=None):
        """Minimises a cost over outcomes worth so much to the user, with `<V_i, q> + t >= floors[i]`."""
        floors = np.full(len(self.provider), -INFINITY) if floors is None else floors
        self.solver.changeColsCost(self.columns, np.arange(self.columns, dtype=np.int32), cost)
        self.solver.changeRowBounds(self.value_row, *value_between)
        for row, floor in zip(self.provider_rows, floors, strict=True):
            self.solver.changeRowBounds(int(row), floor, INFINITY)
        self.solver.run()
        self.solved += 1
        status = self.solver.getModelStatus()
        if status == highspy.HighsModelStatus.kInfeasible:
            return np.inf, None
        assert status == highspy.HighsModelStatus.kOptimal, status
        return self.solver.getInfo().objective_function_value, np.array(self.solver.getSolution().col_value)

    def _cost(self, stakes, level=0.0):
        return np.r_[np.ravel(stakes), np.zeros(self.columns - self.entries - 1), level]

    def phi(self, value):
        """The most that each provider gets by an outcome worth at least `value` to the user."""
        if len(self.provider) == 1:
            if self._phi_at_silent is None:
                self._phi_at_silent = self._phi(-INFINITY)
            return self._phi_at_silent
        return self._phi(value)

    def _phi(self, value):
        return np.array([-self._minimise(self._cost(-v), (value, INFINITY))[0] for v in self.provider])

    def gap(self, value):
        """The least of the largest gain from deviating, over outcomes worth `value` to the user."""
        return self._minimise(self._cost(0 * self.user, 1.0), (value, value), self.phi(value))[0]

    def is_empty(self, low, high, slack):
        """Whether the test of an interval proves that it holds no equilibrium (`slack` per provider)."""
        floors = self.phi(high) - slack
        return self._minimise(self._cost(0 * self.user, 1.0), (low, high), floors)[0] > 1e-10

    def has_equilibrium(self, value, slack):
        floors = self.phi(value) - slack
        return self._minimise(self._cost(0 * self.user, 1.0), (value, value), floors)[0] <= 1e-9

    def bisect(self, slack, tolerance=1e-3, most=100_000):
        """Brackets the worst equilibrium by bisecting intervals with the emptiness test, from the left."""
        span = self.aligned - self.silent
        stack, lower = [(self.silent, self.aligned)], self.silent
        while stack and self.solved < most:
            low, high = stack.pop()
            if self.is_empty(low, high, slack):
                lower = high
            elif high - low <= tolerance * span:
                return low, high
            else:
                middle = (low + high) / 2
                stack += [(middle, high), (low, middle)]
        return lower, self.aligned

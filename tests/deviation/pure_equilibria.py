"""Lists the pure equilibria of two-player games by pygambit: `python pure_equilibria.py < games.json`.

A process of its own, so that a crash or a slow import stays outside the tests. A game is `[payoffs of player 1, payoffs
of player 2]`, each indexed by the strategies of both; the answer is a list of pairs of strategies for each game.
"""

import io
import itertools
import json
import sys

import pygambit


def strategic_form(first, second):
    """The game in pygambit's text format, which every version reads; player 1's strategy runs fastest."""
    rows, columns = len(first), len(first[0])
    entries = [f"{first[i][j]!r} {second[i][j]!r}" for j in range(columns) for i in range(rows)]
    return f'NFG 1 R "menus" {{ "1" "2" }} {{ {rows} {columns} }}\n\n' + " ".join(entries) + "\n"


def pure_equilibria(first, second):
    game = pygambit.read_nfg(io.StringIO(strategic_form(first, second)))
    found = pygambit.nash.enumpure_solve(game)
    return [
        [i, j]
        for profile in found.equilibria
        for i, j in itertools.product(range(len(first)), range(len(first[0])))
        if profile["1"][str(i + 1)] == 1 and profile["2"][str(j + 1)] == 1
    ]


json.dump([pure_equilibria(*game) for game in json.load(sys.stdin)], sys.stdout)

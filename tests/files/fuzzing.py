"""Feeds what parses files with inputs that nobody would write, and counts what must not happen.

Every kind of file has a maker, which writes the n-th input from a seed, and a taker, which reads it and compares what
it got with what an obvious reader gets. Reading may give that, or one `ValueError` that names the file. A traceback is
any other exception, a hang takes more than ten seconds of processor time, and a wrong answer is one that differs.
"""

import csv
import dataclasses
import io
import itertools
import json
import logging
import math
import random
import re
import shutil
import signal
import threading
import tomllib
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import forged
import jax
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import pluraljax as plx
from pluraljax._cli._tune_settings import read_settings
from pluraljax._compiling._kept import Kept
from pluraljax._families._table_file import RATINGS, read_grid
from pluraljax._market_form import Form, read_csv_form, read_toml_form
from pluraljax._scan.config._plan import missing_blocks
from pluraljax._scan.measure._columns import COLUMNS
from pluraljax._scan.store._journal import read_journal
from pluraljax._scan.store._read import read_manifest, read_table
from pluraljax._scan.store._store import Store
from pluraljax._scan.store._survey import survey
from pluraljax._tuning._tune import _Checkpoint

SECONDS = 10.0
# Writes one input, and returns what reads it: whether it was taken.
Maker = Callable[[random.Random], Callable[[], bool]]


class Hang(BaseException):
    pass


class Wrong(Exception):
    pass


@dataclasses.dataclass
class Tally:
    """What became of the inputs of one kind."""

    kind: str
    inputs: int = 0
    taken: int = 0
    tracebacks: list[str] = dataclasses.field(default_factory=list)
    hangs: list[str] = dataclasses.field(default_factory=list)
    wrong: list[str] = dataclasses.field(default_factory=list)

    @property
    def faults(self) -> list[str]:
        return self.tracebacks + self.hangs + self.wrong

    def __str__(self) -> str:
        return (
            f"{self.kind:12} {self.inputs:6,} inputs, {self.taken:6,} taken: {len(self.tracebacks)} tracebacks, "
            f"{len(self.hangs)} hangs, {len(self.wrong)} wrong"
        )


def fuzz(kind: str, count: int, folder: Path, first: int = 0) -> Tally:
    """Tries inputs `first`, `first + 1`, ... of a kind, in an empty folder."""
    tally, make = Tally(kind), KINDS[kind](folder)
    for number in range(first, first + count):
        tally.inputs += 1
        try:
            with _limit(), _quiet():
                tally.taken += make(random.Random(f"{kind}/{number}"))()
        except Hang:
            tally.hangs.append(f"{kind}/{number}")
        except Wrong as error:
            tally.wrong.append(f"{kind}/{number}: {error}")
        except Exception as error:
            tally.tracebacks.append(f"{kind}/{number}: {type(error).__name__}: {str(error)[:200]}")
    return tally


@contextmanager
def _quiet() -> Iterator[None]:
    """Neither warnings nor the log of what is dropped, and both as before when it ends: other tests read them."""
    log = logging.getLogger("pluraljax")
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(before)


@contextmanager
def _limit() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _reads(path: Path, read: Callable[[], Any]) -> Any:
    """What reading gives; None where it is refused by an error that names the path."""
    try:
        return read()
    except ValueError as error:
        if str(path) not in str(error):
            raise Wrong(f"an error that names no file: {str(error)[:200]}") from error
        if len(str(error)) > 2_000:
            raise Wrong(f"an error of {len(str(error)):,} characters") from error
        return None


def _same(what: str, found: Any, wanted: Any) -> None:
    if found != wanted:
        raise Wrong(f"{what}: {str(found)[:150]} instead of {str(wanted)[:150]}")


# Bytes

_SCRAPS = (b"\0", b"\xff", b"\n", b"\r", b'"', b"'", b",", b"=", b"[", b"]", b"{", b"}", b"nan", b"1e999", b"-")
_SCRAPS += (b"9" * 400, "\u202e".encode(), b"\xef\xbb\xbf", b"\\u0000", b"\x1b[2J", b"_", b"PK\x01\x02", b"\x93NUMPY")


def mangled(rng: random.Random, data: bytes) -> bytes:
    """The same bytes after a few accidents."""
    content = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(content) + 1)
        until = min(len(content), at + rng.choice((1, 2, 8, 64)))
        match rng.randrange(7):
            case 0 if at < len(content):
                content[at] ^= 1 << rng.randrange(8)
            case 1 if at < len(content):
                content[at] = rng.randrange(256)
            case 2:
                content[at:at] = rng.choice(_SCRAPS)
            case 3:
                del content[at:until]
            case 4:
                content[at:at] = content[at:until] * rng.choice((1, 50))
            case 5 if rng.random() < 0.3:
                del content[at:]
            case _:
                content[at:until] = rng.choice(_SCRAPS)
    return bytes(content)


# Configs

_SCAN = ("""markets = 60
seed = 7
delta = 0.5
chunk = 48
equilibria = {starts = 2}
[[grid]]
family = "gaussian"
providers = [1, 2]
users = 2
shared = [0.0, 1.0]
[[grid]]
family = "opposed"
scales = [[[1.0, -3.0], [-3.0, 1.0]]]
""", """until = {event = "weakly_aligned", half_width = 0.1, most = 100}
memory = 64
equilibria = false
[[grid]]
family = "spatial"
bias = ["absolute", "relative"]
dimension = 2
[[grid]]
family = "conic"
weight_sum = 1.0
prior = "dirichlet"
""")  # fmt: skip
_TUNE = """objective = "guarantee"
segments = [0, 0]
delta = 0.1
seed = 3
[instrument]
name = "subsidy"
by = "action"
budget = 2.0
[markets]
family = "gaussian"
users = 2
count = 6
[schedule]
steps = 30
rate = 0.1
"""
_VALUES = (
    *("0", "-1", "1e400", "inf", "-inf", "nan", "-0.0", "1e-320", "2.5", "4294967296", "1" + "0" * 18, "9" * 5000),
    *(
        "0x" + "f" * 5000,
        '""',
        r'"\u0000"',
        r'"\u202e"',
        '"spatial"',
        '"auto"',
        "true",
        "false",
        "[]",
        "[[]]",
        "[[[]]]",
    ),
    *("[1, [2, [3]]]", "[1, 1]", "[" * 200 + "]" * 200, "[" * 3000 + "]" * 3000, "{}", "{a = 1}", "{starts = 10}"),
    *("{starts = 1000000000000000000}", '{event = "x"}', '{event = "hull_aligned", half_width = 1e-300}', "1979-05-27"),
    *("07:32:00", "1979-05-27T07:32:00Z", str(list(range(2000))), str(list(range(300))), "[0.1, 0.2, 0.3, 0.4]"),
    *('["a", "b"]', "[1, 2, 3]", "[[1.0, nan], [2.0, 1.0]]", '"' + "x" * 5000 + '"', "1_000", "3", "'''\nx'''"),
    # What makes sense in some places.
    *("2", "4", "[2, 3]", "0.25", "[0.0, 0.5]", '"uniform"', '"dirichlet"', "1.0", "[0.0]", "64", "1000", "[1, 2]"),
)


def _toml(rng: random.Random, text: str) -> bytes:
    lines = text.splitlines()
    for _ in range(rng.choice((1, 1, 1, 3))):
        at = rng.randrange(len(lines))
        key = lines[at].partition(" = ")[0]
        match rng.randrange(8):
            case 0:
                del lines[at]
                lines = lines or [""]
            case 1:
                lines.insert(at, rng.choice(lines))
            case 2:
                lines[at] = f"{key}s = 1"
            case 3:
                lines.insert(at, f"{rng.choice(('markets', 'users', 'delta', 'x', 'family'))} = {rng.choice(_VALUES)}")
            case _:
                lines[at] = f"{key} = {rng.choice(_VALUES)}"
    data = "\n".join(lines).encode()
    return mangled(rng, data) if rng.random() < 0.15 else data


def _config(folder: Path) -> Maker:
    path = folder / "study.toml"

    def take() -> bool:
        config = _reads(path, lambda: plx.scans.ScanConfig.from_toml(path))
        if config is None:
            return False
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        for name in ("seed", "delta", "chunk", "memory"):
            if name in raw:
                _same(name, getattr(config, name), raw[name])
        if "until" not in raw and "markets" in raw:
            _same("markets", config.markets, raw["markets"])
        wanted = []
        for table in raw["grid"]:
            axes = {n: v if isinstance(v, list) else [v] for n, v in sorted(table.items()) if n != "family"}
            wanted += [(table["family"], dict(zip(axes, p, strict=True))) for p in itertools.product(*axes.values())]
        _same("cells", len(config.cells), len(wanted))
        for cell, (family, values) in zip(config.cells, wanted, strict=True):
            _same("family", cell.family, family)
            _same("parameters", {name: cell.parameters[name] for name in values}, values)
        _same("what is written out", plx.scans.ScanConfig.from_mapping(tomllib.loads(config.to_toml())), config)
        if len(config.identity) != 64 or not 1 <= config.rows_per_chunk <= 2**24:
            raise Wrong(f"identity {config.identity}, {config.rows_per_chunk} rows in a chunk")
        return True

    def make(rng: random.Random) -> Callable[[], bool]:
        path.write_bytes(_toml(rng, rng.choice(_SCAN)))
        return take

    return make


def _tune(folder: Path) -> Maker:
    path = folder / "tune.toml"

    def take() -> bool:
        settings = _reads(path, lambda: read_settings(path))
        if settings is None:
            return False
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        for name in ("objective", "delta", "seed"):
            if name in raw:
                _same(name, getattr(settings, name), raw[name])
        _same("count", settings.count, raw["markets"].get("count"))
        for name, value in raw.get("schedule", {}).items():
            _same(name, getattr(settings.schedule, name), value)
        _same("labels", len(settings.labels), settings.family.users)
        return True

    def make(rng: random.Random) -> Callable[[], bool]:
        path.write_bytes(_toml(rng, _TUNE))
        return take

    return make


# Archives

_SHAPES = ("(1, 2, 3)", "(1,)", "()", "(0,)", "(-1, 2)", "(True, 2, 3)", "(10**12,)", "(1000000000000,)", "5", "(" * 99)
_SHAPES += (f"(0, {2**64})", f"({2**70},)", "(2, 3)", "(2, 2, 3, 2)", "(2, 3, 2)", "(2,)")
_DTYPES = ("<f8", "<f4", "<f2", "<i8", "|b1", "<c16", "|O", "<U3", "|V8", "|S9", "<M8[s]", ">f8", "<f16", "3<f8", "")
_DTYPES += ("<U999999999",)


def _archive(rng: random.Random, path: Path, arrays: dict[str, np.ndarray]) -> None:
    save = rng.choice((np.savez, np.savez_compressed))
    save(path, **arrays)  # pyright: ignore[reportArgumentType]
    if rng.random() < 0.5:
        arrays = dict(arrays)
        name = rng.choice(list(arrays))
        match rng.randrange(7):
            case 0:
                del arrays[name]
            case 1:
                kinds = ("f4", "f2", "i8", "i1", "?", "c16", "U9", "g", ">f8")
                arrays[name] = arrays[name].astype(rng.choice(("U9",) if arrays[name].dtype.kind == "U" else kinds))
            case 2:
                arrays[name] = np.asfortranarray(arrays[name])
            case 3:
                arrays[name] = np.array(arrays[name])
                if arrays[name].size and arrays[name].dtype.kind == "f":
                    odd = rng.choice((np.nan, np.inf, -1.0, 1e308, 5e-324))
                    arrays[name].flat[rng.randrange(arrays[name].size)] = odd
            case 4:
                arrays[name] = arrays[name][None]
            case 5:
                arrays[f"{name}s"] = arrays[name]
            case _:
                arrays[name] = arrays[name][:0] if arrays[name].ndim else arrays[name]
        save(path, **arrays)  # pyright: ignore[reportArgumentType]
    elif rng.random() < 0.6:
        members = [(f"{name}.npy", forged.npy(array)) for name, array in arrays.items()]
        for _ in range(rng.choice((0, 1, 2))):
            at = rng.randrange(len(members) + 1)
            name = rng.choice([*arrays, "x", "../x", "a\x1b", "é" * 9]) + rng.choice((".npy", ".npy", ".npy", "", "/"))
            head = forged.header(rng.choice(_SHAPES), rng.choice(_DTYPES), rng.random() < 0.2)
            content = rng.choice((head, head + bytes(48), mangled(rng, head + bytes(48)), b"", rng.choice(members)[1]))
            members[at : at + rng.randrange(2)] = [(name, content)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            forged.archive(path, members, rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)))
        if rng.random() < 0.3:
            field = rng.choice(("flags", "method", "size", "packed"))
            most = 2**16 if field in ("flags", "method") else 2**32
            forged.directory_of(path, **{field: rng.choice((0, 1, 8, 9, rng.randrange(most), most - 1))})
    if rng.random() < 0.3:
        path.write_bytes(mangled(rng, path.read_bytes()))


def _plainly(path: Path) -> dict[str, np.ndarray]:
    """What NumPy reads."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except Exception as error:
        raise Wrong(f"taken, but NumPy cannot read it: {type(error).__name__}: {error}") from error


def _equal(name: str, found: Any, wanted: np.ndarray) -> None:
    found = np.asarray(found)
    wanted = wanted if wanted.dtype == np.float32 else wanted.astype(np.float64)
    pair = found.astype(np.float64), wanted.astype(np.float64)
    if found.shape != wanted.shape or not np.array_equal(*pair, equal_nan=True):
        raise Wrong(f"{name}: {found.ravel()[:9]} instead of {wanted.ravel()[:9]}")


def _market(folder: Path) -> Maker:
    path, numbers = folder / "market.npz", np.random.default_rng(0)
    short = {"user_value": numbers.normal(size=(2, 3, 2)), "provider_value": numbers.normal(size=(2, 2, 3, 2))}
    full = short | {"prior": np.full((2, 1, 2, 2), 0.25), "mass": np.array([0.4, 0.6])}
    with_prior = short | {"prior": np.array([0.25, 0.75])}

    def take() -> bool:
        market = _reads(path, lambda: plx.load_market(path))
        if market is None:
            return False
        raw = _plainly(path)
        for name in ("user_value", "provider_value", "mass"):
            if name in raw:
                _equal(name, getattr(market, name), raw[name])
        prior, wanted = np.asarray(market.prior, np.float64), raw.get("prior")
        if wanted is not None and wanted.ndim > 2:
            _equal("prior", market.prior, wanted)
        elif wanted is not None:
            seen = np.broadcast_to(wanted, (market.num_users, wanted.shape[-1])).astype(np.float64)
            _equal("prior", np.einsum("jtxx->jx", prior), seen)
        if not (abs(prior.sum(axis=(1, 2, 3)) - 1) < 1e-5).all() or (prior < 0).any():
            raise Wrong("a prior that is none")
        return True

    def make(rng: random.Random) -> Callable[[], bool]:
        path.unlink(missing_ok=True)
        _archive(rng, path, rng.choice((short, full, with_prior)))
        return take

    return make


def _profile(folder: Path) -> Maker:
    path = folder / "profile.npz"
    policy = {"policy": np.full((2, 1, 2, 1, 2), 0.5)}
    more = policy | {"choice": np.array([0, 1]), "recommended": np.zeros((2, 2, 1, 1, 2), int)}
    more["asked"] = np.zeros((2, 2, 1), int)

    def take() -> bool:
        profile = _reads(path, lambda: plx.files.load_profile(path))
        if profile is None:
            return False
        for name, wanted in _plainly(path).items():
            _equal(name, getattr(profile, name), wanted)
        return True

    def make(rng: random.Random) -> Callable[[], bool]:
        path.unlink(missing_ok=True)
        _archive(rng, path, rng.choice((policy, more)))
        return take

    return make


def _checkpoint(folder: Path) -> Maker:
    mark = _Checkpoint(folder / "checkpoint.npz", "this run", 9)
    with jax.enable_x64(True):
        state = {"price": jax.numpy.ones((2, 3), jax.numpy.float64), "step": jax.numpy.asarray(7, jax.numpy.int32)}
    arrays = {"identity": np.array("this run"), "history": np.ones((4, 2))}
    arrays |= {"leaf0": np.ones((2, 3)), "leaf1": np.array(7)}

    def take() -> bool:
        # As `tune` does.
        with jax.enable_x64(True):
            read = _reads(mark.path, lambda: mark.read(state))
        if read is None:
            return False
        raw, (restored, history) = _plainly(mark.path), read
        _equal("price", restored["price"], raw["leaf0"])
        _equal("history", np.reshape(history, (-1, 2)), raw["history"])
        return True

    def make(rng: random.Random) -> Callable[[], bool]:
        mark.path.unlink(missing_ok=True)
        _archive(rng, mark.path, arrays)
        return take

    return make


# Tables

_LONG = "item,user,rating\n" + "".join(f"i{i},u{u},{i - u / 2}\n" for u in range(3) for i in range(4) if i != u)
_CONTEXT = "user,item,context,rating\n" + "".join(f"u{n & 1},i{n & 2},c{n & 4},{n}\n" for n in range(8))
_WIDE = "user,i0,i1,i2\nu0,1,2,\nu1,,0.5,-3e2\nu2,NA,7,1\n"
_ENTRIES = ("", "nan", "NA", "1e999", "-inf", "1_0", "٣", "0x1", "1e5", " 2 ", '"3"', '"a\nb"', "=1+1", "u0", "i1")
_ENTRIES += ("a" * 300, "\x1b[1m", "4", "-2.5", "7.", ".5")
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def _parquet(folder: Path) -> Maker:
    path, columns = folder / "ratings.parquet", {"user": [], "item": [], "rating": []}
    for line in _LONG.splitlines()[1:]:
        for name, entry in zip(("item", "user", "rating"), line.split(","), strict=True):
            columns[name].append(float(entry) if name == "rating" else entry)
    pq.write_table(pa.table(columns), path, write_page_checksum=True)
    whole, data = _numbers(read_grid(str(path), RATINGS)), path.read_bytes()

    def take() -> bool:
        grid = _reads(path, lambda: read_grid(str(path), RATINGS))
        if grid is not None:
            _same("numbers", _numbers(grid), whole)
        return grid is not None

    def make(rng: random.Random) -> Callable[[], bool]:
        path.write_bytes(mangled(rng, data) if rng.random() < 0.9 else data)
        return take

    return make


def _numbers(grid: Any) -> dict[tuple[str, ...], float]:
    """The numbers of a grid, by who gave them to what."""
    named = ((grid.raters[r], grid.items[i], c, value) for (r, i, c), value in np.ndenumerate(grid.values))
    contexts = grid.contexts or ("",)
    return {(r, i, contexts[c]): float(value) for r, i, c, value in named if not math.isnan(value)}


def _spreadsheet(text: str) -> list[list[str]]:
    """The rows in which there is something, without what is empty to the right of the first one."""
    rows = [[e.strip() for e in row] for row in csv.reader(io.StringIO(text, newline=""), strict=True)]
    rows = [row for row in rows if any(row)]
    while rows and rows[0] == ["sep=", ""]:
        del rows[0]
    width = len(",".join(["x" * bool(e) for e in rows[0]]).rstrip(",").split(","))
    return [row[:width] if not any(row[width:]) else row for row in rows]


def _twin(path: Path) -> dict[tuple[str, ...], float]:
    """The numbers of a table, by who gave them to what; raises where it is no table."""
    text = path.read_bytes().decode("utf-8-sig")
    header, *rows = _spreadsheet(text)
    found: dict[tuple[str, ...], float] = {}
    for row in rows:
        entries = dict(zip(header, row, strict=True))
        if "rating" in entries:
            cells = [((entries["user"], entries["item"], entries.get("context", "")), entries["rating"])]
        else:
            cells = [((entries["user"], item, ""), entry) for item, entry in entries.items() if item != "user"]
        for place, entry in cells:
            if entry.lower() in ("", "na", "nan"):
                continue
            if not _DECIMAL.fullmatch(entry) or not math.isfinite(float(entry)) or place in found:
                raise ValueError(f"{entry!r} at {place}")
            found[place] = float(entry)
    return found


def _table(folder: Path) -> Maker:
    path = folder / "ratings.csv"

    def take() -> bool:
        grid = _reads(path, lambda: read_grid(str(path), RATINGS))
        if grid is None:
            return False
        try:
            wanted = _twin(path)
        except Exception as error:
            raise Wrong(f"taken, and no table: {error}") from error
        _same("numbers", _numbers(grid), wanted)
        return True

    def make(rng: random.Random) -> Callable[[], bool]:
        rows = [line.split(",") for line in rng.choice((_LONG, _CONTEXT, _WIDE)).splitlines()]
        for _ in range(rng.choice((0, 1, 2, 4))):
            row = rng.choice(rows)
            match rng.randrange(5):
                case 0:
                    row.append(rng.choice(_ENTRIES))
                case 1:
                    rows.append(list(row))
                case 2:
                    rows.remove(row)
                    rows = rows or [[""]]
                case _:
                    row[rng.randrange(len(row))] = rng.choice(_ENTRIES)
        data = rng.choice(("\n", "\n", "\r\n", "\r")).join(map(",".join, rows)).encode()
        path.write_bytes(mangled(rng, data) if rng.random() < 0.4 else data)
        return take

    return make


# Markets that somebody wrote

_FORM = "who,user,action,state,payoff\nprior,*,,hot,0.25\nprior,,,cold,.75\nmass,Bo,,,2\nmass,Ann,,,1e0\n"
_FORM += "".join(
    f"user,{u},{a},{x},{len(u + a) - len(x)}\n" for u in ("Ann", "Bo") for a in "st" for x in ("hot", "cold")
)
_FORM += "Max,*,s,,1\nMax,*,t,hot,2\nMax,,t,cold,-3\nZoë,Ann,s,,0\nZoë,Bo,s,*,1\nZoë,,t,,2\n"
_SMALL_FORM = "action,payoff,who\ns,1,user\nt,-2.5e-3,user\ns,0,Max\nt,1,Max\n"
_WORDS = (*_ENTRIES, "user", "prior", "mass", "*", "Ann", "Max", "s", "hot", "0", "-0.5", "0.25", "1e-7", "User")
_TOML_FORM = """actions = ["s", "t"]
states = ["hot", "cold"]
prior = [0.25, 0.75]
[users.Ann]
payoff = {s = 1, t = [2, -0.5]}
mass = 1
[users."Bo B"]
payoff = [[1, 2], {cold = 1e3, hot = 0}]
mass = 2.5
[providers.Max]
payoff = [1, {hot = 2, cold = 3}]
[providers.Zoe.from]
Ann = [0, 1]
"Bo B" = {t = [7, 8], s = 9}
"""


class _Written:
    """What a form says, entry by entry, each of them once; the obvious reader's."""

    def __init__(self, users: list[str], providers: list[str], actions: list[str], states: list[str]):
        self.names = tuple(map(tuple, (users, providers, actions, states)))
        self.payoff, self.prior, self.mass = {}, {}, {}

    def put(self, where: dict[Any, float], value: float, *axes: tuple[str | None, list[str]]) -> None:
        for place in itertools.product(*(names if name is None else [name] for name, names in axes)):
            if place in where or any(at not in names for at, (_, names) in zip(place, axes, strict=True)):
                raise ValueError(f"{place} is unknown, or there twice")
            where[place] = value

    def check(self, form: Form) -> None:
        users, providers, actions, states = self.names
        names = form.names
        _same("names", (names.users, names.providers, names.actions, names.states), self.names)
        shape = len(users), len(actions), len(states)
        own = [self.payoff["", u, a, x] for u in users for a in actions for x in states]
        _same("payoffs of users", form.user_value.tolist(), np.reshape(own, shape).tolist())
        theirs = [self.payoff[i, u, a, x] for i in providers for u in users for a in actions for x in states]
        wanted = np.reshape(theirs, (len(providers), *shape))
        _same("payoffs of providers", form.provider_value.tolist(), wanted.tolist())
        prior = [[self.prior[u, x] for x in states] for u in users] if self.prior else None
        _same("prior", prior if form.prior is None else form.prior.tolist(), prior)
        if prior is not None and not np.allclose(np.sum(prior, axis=1), 1, atol=1e-5):
            raise Wrong(f"a prior that is none: {prior}")
        mass = [self.mass[u,] for u in users] if self.mass else None
        _same("mass", mass if form.mass is None else form.mass.tolist(), mass)


def _number(entry: Any) -> float:
    if isinstance(entry, str) and not _DECIMAL.fullmatch(entry):
        raise ValueError(f"{entry!r} is no number")
    if isinstance(entry, bool) or not isinstance(entry, str | int | float) or not math.isfinite(float(entry)):
        raise ValueError(f"{entry!r} is no number")
    return float(entry)


def _csv_form_twin(path: Path) -> _Written:
    text = path.read_bytes().decode("utf-8-sig")
    header, *rows = _spreadsheet(text)
    lines = [dict(zip(map(str.lower, header), row, strict=True)) for row in rows]
    for line in lines:
        if line["who"].lower() in ("user", "prior", "mass"):
            line["who"] = line["who"].lower()
        line |= {name: "" for name in ("user", "action", "state") if line.get(name, "") in ("", "*")}
    several = lambda key, some: list(dict.fromkeys(line[key] for line in some if line[key]))
    own = [line for line in lines if line["who"] == "user"]
    priors = [line for line in lines if line["who"] == "prior"]
    others = [line for line in lines if line["who"] not in ("user", "prior", "mass")]
    users = several("user", own) or several("user", lines) or ["everybody"]
    states = several("state", priors) or several("state", own) or several("state", lines) or ["always"]
    actions, providers = several("action", own), several("who", others)
    found = _Written(users, providers, actions, states)
    for line in lines:
        who, value, user, state = line["who"], _number(line["payoff"]), line["user"] or None, line["state"] or None
        if who == "mass":
            found.put(found.mass, value, (user, users))
        elif who == "prior":
            found.put(found.prior, value, (user, users), (state, states))
        else:
            axes = (user, users), (line["action"], actions), (state, states)
            found.put(found.payoff, value, ("" if who == "user" else who, [*providers, ""]), *axes)
    return found


def _toml_form_twin(path: Path) -> _Written:
    raw = tomllib.loads(path.read_text(encoding="utf-8"))
    users, providers, actions = list(raw["users"]), list(raw["providers"]), raw["actions"]
    states = raw.get("states", ["always"])
    found = _Written(users, providers, actions, states)
    entries = lambda value, names: value if isinstance(value, dict) else dict(zip(names, value, strict=True))

    def put(provider: str, user: str | None, payoff: Any) -> None:
        for action, entry in entries(payoff, actions).items():
            for state, value in (entries(entry, states) if isinstance(entry, dict | list) else {None: entry}).items():
                axes = (user, users), (action, actions), (state, states)
                found.put(found.payoff, _number(value), (provider, [*providers, ""]), *axes)

    for user, prior in [(None, raw.get("prior", {}))] + [
        (u, table.get("prior", {})) for u, table in raw["users"].items()
    ]:
        for state, value in entries(prior, states).items():
            found.put(found.prior, _number(value), (user, users), (state, states))
    for user, table in raw["users"].items():
        put("", user, table["payoff"])
        if "mass" in table:
            found.put(found.mass, _number(table["mass"]), (user, users))
    for provider, table in raw["providers"].items():
        for user, payoff in table["from"].items() if "from" in table else [(None, table["payoff"])]:
            put(provider, user, payoff)
    return found


def _form(path: Path, read: Callable[[Path], Form], twin: Callable[[Path], _Written], write: Any) -> Maker:
    def take() -> bool:
        form = _reads(path, lambda: read(path))
        if form is None:
            return False
        try:
            wanted = twin(path)
        except Exception as error:
            raise Wrong(f"taken, and no market: {type(error).__name__}: {error}") from error
        wanted.check(form)
        return True

    def make(rng: random.Random) -> Callable[[], bool]:
        path.write_bytes(write(rng))
        return take

    return make


def _csv_form(folder: Path) -> Maker:
    def write(rng: random.Random) -> bytes:
        rows = [line.split(",") for line in rng.choice((_FORM, _FORM, _SMALL_FORM)).splitlines()]
        for _ in range(rng.choice((0, 1, 1, 2, 4))):
            row = rng.choice(rows)
            match rng.randrange(6):
                case 0:
                    row.append(rng.choice(_WORDS))
                case 1:
                    rows.append(list(row))
                case 2 if len(rows) > 1:
                    rows.remove(row)
                case 3:
                    rng.shuffle(rows)
                case _:
                    row[rng.randrange(len(row))] = rng.choice(_WORDS)
        data = rng.choice(("\n", "\n", "\r\n", "\r")).join(map(",".join, rows)).encode()
        return mangled(rng, data) if rng.random() < 0.3 else data

    return _form(folder / "market.csv", read_csv_form, _csv_form_twin, write)


def _toml_form(folder: Path) -> Maker:
    def write(rng: random.Random) -> bytes:
        if rng.random() < 0.6:
            return _toml(rng, _TOML_FORM)
        text = _TOML_FORM
        for _ in range(rng.choice((1, 1, 2))):
            words = list(re.finditer(r"[A-Za-z]+|-?[0-9][0-9.e]*", text))
            word, other = rng.choice(words), rng.choice(words)
            text = text[: word.start()] + other.group() + text[word.end() :]
        return text.encode()

    return _form(folder / "market.toml", read_toml_form, _toml_form_twin, write)


# What a scan keeps

_THINGS = (None, True, 0, -1, 1.5, 2**70, 1e308, math.nan, math.inf, "", "x" * 3000, "\x1b[2J\u202e", [], {}, [[]])
_THINGS += ({"a": 1}, "0" * 64, "cell-00000-rows-0000000000-0000000008.parquet", "2020-01-01T00:00:00+00:00", [1, 2])


def _json(rng: random.Random, text: str) -> str:
    """JSON with something else in a few places."""
    data = json.loads(text)
    for _ in range(rng.choice((1, 1, 2, 3))):
        places = []

        def walk(node: Any, places: list[Any] = places) -> None:
            keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
            for key in keys:
                places.append((node, key))
                walk(node[key])

        walk(data)
        if not places:
            break
        copies = [json.dumps(node[key]) for node, key in places]
        node, key = rng.choice(places)
        match rng.randrange(5):
            case 0:
                del node[key]
            case 1 if isinstance(node, dict):
                node[f"{key}x"] = node.pop(key)
            case 2:
                # A copy: a ring could not be written down.
                node[key] = json.loads(rng.choice(copies))
            case _:
                node[key] = rng.choice(_THINGS)
    return json.dumps(data)


def _scan(folder: Path) -> tuple[Path, Any]:
    """A stored scan of two chunks a cell, and its rows."""
    sizes = {"providers": 2, "users": 2, "actions": 3, "states": 3}
    grid = (plx.scans.FamilyGrid("gaussian", sizes | {"shared": [0.0, 1.0]}),)
    config, path = plx.scans.ScanConfig(grid=grid, markets=30, chunk=8), folder / "scan"
    numbers = np.random.default_rng(0)
    with Store(path, config) as store:
        for number, block in enumerate(missing_blocks(config, store.chunk, {})):
            rows = {}
            for column in COLUMNS:
                shape = (len(block), 2) if column.axis == "user" else (len(block),)
                is_value = column.kind == "value"
                rows[column.name] = numbers.normal(size=shape) if is_value else np.zeros(shape, np.int8)
            store.write(block, rows)
            maker = {"device": "d", "host": "h", "process": 1, "git": None, "versions": {"jax": "1"}}
            store.record(block, 0.5 + number, maker)
    return path, read_table(path)


def _manifest(folder: Path) -> Maker:
    scan, rows = _scan(folder)
    path, identity = scan / "manifest.json", read_manifest(scan)
    text = path.read_text(encoding="utf-8")

    def take() -> bool:
        found = _reads(scan, lambda: (read_manifest(scan), survey(scan), read_table(scan)))
        if found is None:
            return False
        _same("rows", found[2].equals(rows), True)
        same = _identity(found[0])
        _same("identity", same, _identity(identity))
        _same("stored", found[1].stored, 30)
        return True

    def make(rng: random.Random) -> Callable[[], bool]:
        data = (_json(rng, text) if rng.random() < 0.7 else text).encode(errors="surrogatepass")
        path.write_bytes(mangled(rng, data) if rng.random() < 0.4 else data)
        return take

    return make


def _identity(manifest: Any) -> Any:
    return manifest["identity"] if isinstance(manifest, dict) else manifest.identity


def _journal(folder: Path) -> Maker:
    scan, _ = _scan(folder)
    path = scan / "journal.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()

    def take() -> bool:
        found = _reads(path, lambda: (read_journal(scan), survey(scan)))
        if found is None:
            return False
        _same("stored", found[1].stored, 30)
        known = []
        for line in path.read_bytes().decode(errors="replace").split("\n"):
            try:
                known.append(json.loads(line))
            except (ValueError, RecursionError):
                continue
        if any(entry not in known for entry in found[0] if not _has_nan(entry)):
            raise Wrong("an entry that no line holds")
        json.dumps(found[1].as_data())
        return True

    def make(rng: random.Random) -> Callable[[], bool]:
        changed = list(lines)
        for _ in range(rng.choice((1, 2))):
            at = rng.randrange(len(changed))
            odd = rng.choice(("", "[]", "3", "{", '"x"', "[" * 5000, "[" * 900 + "]" * 900))
            changed[at] = _json(rng, lines[at]) if rng.random() < 0.7 else odd
        data = ("\n".join(changed) + rng.choice(("", "\n"))).encode(errors="surrogatepass")
        path.write_bytes(mangled(rng, data) if rng.random() < 0.4 else data)
        return take

    return make


def _has_nan(entry: Any) -> bool:
    if isinstance(entry, dict | list):
        return any(map(_has_nan, entry.values() if isinstance(entry, dict) else entry))
    return entry != entry


def _chunk(folder: Path) -> Maker:
    scan, rows = _scan(folder)
    path = sorted((scan / "rows").glob("*.parquet"))[1]
    data = path.read_bytes()
    # As text, in which NaN equals NaN.
    wanted = {row["market"]: str(row) for row in rows.to_pylist()}

    def take() -> bool:
        found = {row["market"]: str(row) for row in read_table(scan).to_pylist()}
        _same("rows", found, {market: wanted[market] for market in found})
        return len(found) == len(wanted)

    def make(rng: random.Random) -> Callable[[], bool]:
        path.write_bytes(mangled(rng, data) if rng.random() < 0.9 else data)
        return take

    return make


def _kept(folder: Path) -> Maker:
    kept = Kept(folder / "kept")
    contents = {(f"name{n}", f"key{n % 2}"): bytes([n]) * (50 * n) for n in range(4)}
    for (name, key), content in contents.items():
        kept.write(name, key, content)
    shutil.copytree(folder / "kept", folder / "whole")

    def take() -> bool:
        found = {place: kept.read(*place) for place in contents}
        if any(content not in (None, contents[place]) for place, content in found.items()):
            raise Wrong("what is kept is not what was put there")
        return None not in found.values()

    def make(rng: random.Random) -> Callable[[], bool]:
        for name, _ in contents:
            shutil.copy(folder / "whole" / name, folder / "kept" / name)
        if rng.random() < 0.1:
            return take
        first, second = (folder / "kept" / name for name, _ in rng.sample(list(contents), 2))
        if rng.random() < 0.3:
            kept_bytes = first.read_bytes()
            first.write_bytes(second.read_bytes())
            second.write_bytes(kept_bytes)
        else:
            first.write_bytes(mangled(rng, first.read_bytes()))

        return take

    return make


KINDS: dict[str, Callable[[Path], Maker]] = {
    "config": _config,
    "tune": _tune,
    "market": _market,
    "profile": _profile,
    "checkpoint": _checkpoint,
    "table": _table,
    "parquet": _parquet,
    "csv form": _csv_form,
    "toml form": _toml_form,
    "manifest": _manifest,
    "journal": _journal,
    "chunk": _chunk,
    "kept": _kept,
}

"""Reads score tables, prompt by prompt, from CSV, Parquet and NPZ files. Errors name the file and the row."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .._files._archive import read_archive
from .._files._place import refuse_folder
from .._files._rows import csv_rows, decimal_comma, refuse_workbooks
from .._printable import listed, quoted
from ._prompt import Prompt

# Models of a table, answers of a prompt, and rows of a Parquet file that are unpacked at once.
MOST_MODELS, MOST_ANSWERS, _BATCH = 4096, 4096, 4096
WANTS = ("correct", "user")
BEST = "best"


@dataclass(frozen=True)
class Table:
    """A table that is read as it is gone through: names of its models, and how many prompts it has, if it says."""

    models: tuple[str, ...]
    prompts: Iterator[Prompt]
    count: int | None


def open_table(path: str | Path, baseline: str = BEST) -> Table:
    """Opens a table by the ending of its name."""
    file = Path(path)
    refuse_folder(file, "a table of scores (.csv, .parquet or .npz)", (".csv", ".parquet", ".npz"))
    refuse_workbooks(file)
    readers: dict[str, Callable[[Path, str], Table]] = {".csv": _open_csv, ".parquet": _open_parquet, ".npz": _open_npz}
    reader = readers.get(file.suffix.lower())
    if reader is None:
        raise ValueError(f"{file}: score tables end in .csv, .parquet or .npz, got {quoted(file.suffix)}.")
    if not file.exists():
        raise FileNotFoundError(f"{file}: there is no such file.")
    return reader(file, baseline)


class _Columns(NamedTuple):
    """Where the columns of a table of rows are."""

    prompt: int
    wanted: int
    baseline: int | None
    models: tuple[int, ...]


def _columns(path: Path, header: Sequence[str], baseline: str) -> _Columns:
    if len(header) > MOST_MODELS + 4:
        raise ValueError(
            f"{path} has {len(header):,} columns; a row is one answer and a column one model, at most {MOST_MODELS:,}."
        )
    if doubled := sorted({name for name in header if header.count(name) > 1}):
        raise ValueError(f"{path}: its columns {listed(doubled)} appear twice.")
    wants = [name for name in WANTS if name in header]
    if "prompt" not in header or len(wants) != 1:
        raise ValueError(
            f"{path} needs the columns 'prompt' and either 'correct' (1 or 0) or 'user' (her own scores), then one per "
            f"model, with a row per answer; it has {listed(header)}."
        )
    if baseline != BEST and baseline not in header:
        raise ValueError(f"{path}: the baseline is to be in column {quoted(baseline)}; it has {listed(header)}.")
    place = {name: number for number, name in enumerate(header)}
    other = {"prompt", "answer", wants[0], *([baseline] if baseline != BEST else [])}
    models = tuple(number for number, name in enumerate(header) if name not in other)
    if not models:
        raise ValueError(f"{path} has no column of a model; it has {listed(header)}.")
    at = None if baseline == BEST else place[baseline]
    return _Columns(place["prompt"], place[wants[0]], at, models)


# A row of a file: what an error calls it, and its entries.
_Row = tuple[str, Sequence[Any]]


def _open_csv(path: Path, baseline: str) -> Table:
    header = next(_csv_rows(path), ("", []))[1]
    columns = _columns(path, header, baseline)
    rows = _csv_rows(path)
    next(rows, None)
    return Table(tuple(header[each] for each in columns.models), _grouped(path, header, columns, rows), None)


def _csv_rows(path: Path) -> Iterator[_Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from csv_rows(path, file)


def _open_parquet(path: Path, baseline: str) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        header = file.schema_arrow.names
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} is not Parquet ({str(error).splitlines()[0].rstrip('.')}).") from None
    columns = _columns(path, header, baseline)

    def rows() -> Iterator[_Row]:
        number = 0
        try:
            for batch in file.iter_batches(batch_size=_BATCH):
                entries = [column.to_pylist() for column in batch.columns]
                for row in zip(*entries, strict=True):
                    number += 1
                    yield f"row {number}", row
        except pa.ArrowException as error:
            raise ValueError(f"{path} cannot be read ({str(error).splitlines()[0].rstrip('.')}).") from None

    return Table(tuple(header[each] for each in columns.models), _grouped(path, header, columns, rows()), None)


def _grouped(path: Path, header: Sequence[str], columns: _Columns, rows: Iterator[_Row]) -> Iterator[Prompt]:
    """Puts rows that follow each other and name the same prompt together."""
    used = (columns.wanted, *([] if columns.baseline is None else [columns.baseline]), *columns.models)
    marks = len(used) - len(columns.models) - 1

    def finish(name: str, block: list[list[float]]) -> Prompt:
        values = np.array(block, np.float64)
        marked = values[:, 1] if marks else None
        return _prompt(path, name, values[:, 1 + marks :].T, values[:, 0], marked, header[columns.wanted])

    seen: set[int] = set()
    name, block = None, []
    for where, entries in rows:
        if len(entries) != len(header):
            raise ValueError(f"{path}, {where}: {len(entries)} entries, but {len(header)} columns.")
        own = str(entries[columns.prompt])
        if own != name:
            if name is not None:
                yield finish(name, block)
            if hash(own) in seen:
                raise ValueError(f"{path}, {where}: the rows of prompt {quoted(own)} have to follow each other.")
            seen.add(hash(own))
            name, block = own, []
        block.append([_number(path, where, header[at], entries[at]) for at in used])
        if len(block) > MOST_ANSWERS:
            raise ValueError(f"{path}, {where}: prompt {quoted(own)} has more than {MOST_ANSWERS:,} answers.")
    if name is None:
        raise ValueError(f"{path} has no rows.")
    yield finish(name, block)


def _number(path: Path, where: str, column: str, entry: Any) -> float:
    if entry is None or entry == "":
        raise ValueError(f"{path}, {where}: {quoted(column)} is missing.")
    try:
        number = float(entry)
    except (TypeError, ValueError):
        hint = decimal_comma(entry)
        raise ValueError(f"{path}, {where}: {quoted(column)} is {quoted(entry)}, which is no number.{hint}") from None
    if not math.isfinite(number):
        raise ValueError(f"{path}, {where}: {quoted(column)} is {number}, which is no finite number.")
    return number


def _prompt(
    path: Path, name: str, scores: np.ndarray, wanted: np.ndarray, marked: np.ndarray | None, wants: str
) -> Prompt:
    """Checks one prompt, and finds its baseline: the answer that is marked, or the first of those she likes best."""
    of = f"{path}: prompt {quoted(name)}"
    if len(wanted) < 2:
        raise ValueError(f"{of} has one answer; there has to be another one to deviate to.")
    if wants == "correct":
        if not np.isin(wanted, (0.0, 1.0)).all():
            raise ValueError(f"{of}: 'correct' is 1 or 0, got {listed(sorted(set(wanted.tolist()) - {0.0, 1.0}))}.")
        if not wanted.any():
            raise ValueError(f"{of} has no correct answer.")
    if marked is None:
        return Prompt(name, scores, wanted, int(np.argmax(wanted)))
    if (marked != 0).sum() != 1:
        raise ValueError(f"{of} needs one answer marked as its baseline, got {int((marked != 0).sum())}.")
    return Prompt(name, scores, wanted, int(np.argmax(marked != 0)))


def _open_npz(path: Path, baseline: str) -> Table:
    """Arrays `scores[prompt answer model]`, and `correct[prompt]`, the place of an answer, or `user[prompt answer]`.

    Also `models` and `prompts`, names as texts, and `baseline[prompt]`, the place of an answer.
    """
    if baseline not in (BEST, "baseline"):
        raise ValueError(f"{path}: the baseline of an .npz is 'best' or its array 'baseline', got {quoted(baseline)}.")
    names, texts = ("scores", "correct", "user", "baseline"), ("models", "prompts")
    arrays = read_archive(path, names, "score table", texts=texts, check=lambda shapes: _check_shapes(shapes, baseline))
    scores = arrays["scores"]
    count, answers, models = scores.shape
    wants = next(name for name in WANTS if name in arrays)
    for place in {"correct", "baseline"} & set(arrays):
        if not ((arrays[place] >= 0) & (arrays[place] < answers) & (arrays[place] % 1 == 0)).all():
            raise ValueError(f"{path}: {place!r} holds places of answers, whole numbers from 0 to {answers - 1}.")

    def prompts() -> Iterator[Prompt]:
        one_of = np.eye(answers)
        for row in range(count):
            name = str(arrays["prompts"][row]) if "prompts" in arrays else str(row)
            wanted = arrays["user"][row] if wants == "user" else one_of[int(arrays["correct"][row])]
            marked = one_of[int(arrays["baseline"][row])] if baseline != BEST else None
            yield _prompt(path, name, scores[row].T.astype(np.float64), wanted.astype(np.float64), marked, wants)

    named = tuple(map(str, arrays["models"])) if "models" in arrays else tuple(f"model {n}" for n in range(models))
    return Table(named, prompts(), count)


def _check_shapes(shapes: Any, baseline: str) -> None:
    wants = [name for name in WANTS if name in shapes]
    if "scores" not in shapes or len(wants) != 1:
        raise ValueError(f"it needs 'scores' and either 'correct' or 'user', and has {listed(sorted(shapes))}.")
    if len(shapes["scores"]) != 3 or 0 in shapes["scores"]:
        raise ValueError(f"'scores' needs three non-empty axes [prompt answer model], got shape {shapes['scores']}.")
    prompts, answers, models = shapes["scores"]
    if models > MOST_MODELS or answers > MOST_ANSWERS:
        raise ValueError(
            f"'scores' has {answers:,} answers and {models:,} models; at most {MOST_ANSWERS:,} and {MOST_MODELS:,}."
        )
    if baseline != BEST and "baseline" not in shapes:
        raise ValueError("it has no array 'baseline'.")
    wanted = {
        "correct": (prompts,),
        "user": (prompts, answers),
        "baseline": (prompts,),
        "models": (models,),
        "prompts": (prompts,),
    }
    for name, shape in wanted.items():
        if name in shapes and shapes[name] != shape:
            raise ValueError(f"{name!r} needs shape {shape}, got {shapes[name]}.")

"""What the cases of a cohort gave, as tables: a row per case and region, the failures, the DVHs. One case in memory at a time.

Each table replaces the earlier one when it is whole. Parquet needs pyarrow; without it there is CSV only.
"""

from __future__ import annotations

import csv
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxeldose.io.config.nameless import without_paths
from voxeldose.io.results.content import messages_of
from voxeldose.io.results.new_folder import replacing
from voxeldose.jobs.cohort.store import Store, facts_of, read_if_there, read_plan
from voxeldose.jobs.cohort.summary import write_page
from voxeldose.model.assessment import RoiNumbers
from voxeldose.model.best_value import best_value, numbers_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from voxeldose.jobs.cohort.entry import Entry
    from voxeldose.model.best_value import HasNumbers

__all__ = ["FAILURE_COLUMNS", "case_rows", "columns", "write_all", "write_rows"]

#: Rows that are collected before they are written to Parquet.
_BATCH = 2000

#: Points of DVH curves that make a row group.
_DVH_BATCH = 200_000

_HEAD = {"row": int, "case": str, "pair": str, "status": str, "roi": str, "role": str}
_OF_CASE = {
    "tumor_to_normal_ratio": float,
    "tumor_to_normal_region": str,
    "total_activity_mbq": float,
    "administered_mbq": float,
    "recovered_fraction": float,
    "lung_shunt_fraction": float,
    "thresholds_met": int,
    "thresholds_missed": int,
    "radionuclide": str,
    "image_nuclide": str,
    "kind": str,
    "device": str,
    "engine": str,
    "constants": str,
    "warning_count": int,
    "warnings": str,
    "message": str,
    "seconds": float,
    "cpu_seconds": float,
    "peak_memory_mb": float,
    "version": str,
    "python": str,
    "libraries": str,
    "folder": str,
}
#: Best values of a region (recovered, else corrected, else the image's own); ``best_kind`` is that of the mean dose.
_BEST = {
    "best_mean_dose_gy": float,
    "best_mean_dose_low_gy": float,
    "best_mean_dose_high_gy": float,
    "best_d95_gy": float,
    "best_d70_gy": float,
    "best_v205_fraction": float,
    "best_v400_fraction": float,
    "best_tumor_to_normal": float,
    "best_kind": str,
}
FAILURE_COLUMNS = ("row", "case", "exit_class", "exit_code", "message", "attempts")


def columns() -> dict[str, type]:
    """Columns of the cohort's table, with their types: which case and region, its metrics, what holds for the whole case."""
    return _HEAD | _metrics() | _BEST | _OF_CASE


def write_all(out: str, identifiers: bool) -> bool:
    """Write every table and the page; whether Parquet was among them."""
    with_parquet = write_rows(out, identifiers=identifiers)
    if with_parquet:
        _write_dvh(Store(Path(out)))
    write_page(Store(Path(out)), identifiers=identifiers)
    return with_parquet


def write_rows(out: str, *, identifiers: bool = False) -> bool:
    """Write ``cohort.csv``, ``cohort.parquet`` and ``failures.csv``; whether there is Parquet.

    Paths stand in messages with ``identifiers`` alone.
    """
    store = Store(Path(out))
    with replacing(store.out / "cohort.csv") as path, path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(columns()))
        table.writeheader()
        table.writerows(_rows(store, identifiers=identifiers))
    with replacing(store.out / "failures.csv") as path, path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, FAILURE_COLUMNS, extrasaction="ignore")
        table.writeheader()
        for entry in read_plan(store.plan):
            failure = read_if_there(store.failure(entry.name))
            if failure is not None:
                message = failure_message(entry, failure, identifiers=identifiers)
                table.writerow({"row": entry.row, "case": entry.name, **failure, "message": message})
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        for stale in ("cohort.parquet", "dvh.parquet"):
            (store.out / stale).unlink(missing_ok=True)
        return False
    kinds = {int: pa.int64(), float: pa.float64(), str: pa.string(), bool: pa.bool_()}
    schema = pa.schema([(name, kinds[kind]) for name, kind in columns().items()])
    with replacing(store.out / "cohort.parquet") as path, parquet.ParquetWriter(path, schema) as writer:
        for batch in _batches(_rows(store, identifiers=identifiers)):
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))
    return True


def failure_message(entry: Entry, failure: Mapping[str, Any], *, identifiers: bool) -> str:
    """What is known of a failure, without the paths of the case unless identifiers are wanted."""
    message = str(failure["message"])
    if identifiers:
        return message
    given = (entry.base, entry.case_file, entry.template, *(str(cell) for cell in entry.cells.values()))
    places = [Path(path).parent for path in given if path and Path(path).is_absolute()]
    return without_paths(message, [*places, *([entry.study] if entry.study else [])])


def case_rows(entry: Entry, facts: dict[str, Any], *, identifiers: bool = False) -> Iterator[dict[str, Any]]:
    """The rows of one case: one per region, or one that says that it failed."""
    head: dict[str, Any] = {"row": entry.row, "case": entry.name, "pair": entry.pair or None}
    if "failure" in facts:
        yield head | {"status": "failed", "message": failure_message(entry, facts["failure"], identifiers=identifiers)}
        return
    content, run, task = facts["assessment"], facts["run"], facts["task"]
    whole = {
        "tumor_to_normal_ratio": content["tumor_to_normal_ratio"],
        "tumor_to_normal_region": content.get("tumor_to_normal_region"),
        "total_activity_mbq": content["totals"]["activity_mbq"],
        "administered_mbq": content["totals"]["administered_mbq"],
        "recovered_fraction": content["totals"]["recovered_fraction"],
        "lung_shunt_fraction": content["administration"]["lung_shunt_fraction"],
        "radionuclide": content["constants"]["radionuclide"],
        "image_nuclide": task["image_nuclide"],
        "kind": content.get("kind"),
        "device": content["administration"]["device"],
        "engine": content["method"]["engine"],
        "constants": content["constants"]["name"],
        "warning_count": len(content["warnings"]),
        "warnings": " | ".join(messages_of(content["warnings"])),
        "seconds": task["seconds"],
        "cpu_seconds": task["cpu_seconds"],
        "peak_memory_mb": task["peak_memory_mb"],
        "version": run["version"],
        "python": run["python"],
        "libraries": " ".join(f"{name}-{version}" for name, version in sorted(run["libraries"].items())),
        "folder": f"cases/{entry.name}",
    }
    numbers = numbers_in(content)
    for name, roi in content["rois"].items():
        compared = [t["met"] for t in content["thresholds"] if t["roi"] == name]
        own = {key: roi.get(key) for key in _metrics()}
        met = {"thresholds_met": sum(compared), "thresholds_missed": len(compared) - sum(compared)}
        yield head | {"status": "done", "roi": name, "role": roi["role"]} | own | _best(numbers, name) | whole | met


def _best(numbers: HasNumbers, roi: str) -> dict[str, float | str | None]:
    """Best values of a region."""
    mean = best_value(numbers, roi, "mean_dose_gy")
    row: dict[str, float | str | None] = {
        f"best_{metric}": best_value(numbers, roi, metric).value
        for metric in ("mean_dose_gy", "d95_gy", "d70_gy", "v205_fraction", "v400_fraction", "tumor_to_normal")
    }
    return row | {"best_mean_dose_low_gy": mean.low, "best_mean_dose_high_gy": mean.high, "best_kind": mean.kind}


def _rows(store: Store, *, identifiers: bool) -> Iterator[dict[str, Any]]:
    for entry in read_plan(store.plan):
        facts = facts_of(store, entry)
        if facts is not None:
            for row in case_rows(entry, facts, identifiers=identifiers):
                yield {name: row.get(name) for name in columns()}


def _metrics() -> dict[str, type]:
    """Numbers of a region, as ``assessment.json`` calls them."""
    numbers = [
        f.name for f in fields(RoiNumbers) if f.type in ("float", "float | None") and f.name != "outside_fraction"
    ]
    kinds: dict[str, type] = dict.fromkeys((*numbers, "outside_grid_fraction"), float)
    return kinds | {"reached": bool}


def _write_dvh(store: Store) -> None:
    """Write ``dvh.parquet``: the curves of every case, with its name."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv
    from pyarrow import parquet

    word = pa.dictionary(pa.int32(), pa.string())
    numbers = dict.fromkeys(("dose_gy", "volume_ml", "volume_fraction"), pa.float64())
    schema = pa.schema([("case", word), ("roi", word), *numbers.items()])
    options = arrow_csv.ConvertOptions(column_types={"roi": pa.string(), **numbers}, include_columns=["roi", *numbers])
    waiting: list[Any] = []
    with replacing(store.out / "dvh.parquet") as path, parquet.ParquetWriter(path, schema) as writer:

        def write() -> None:
            if waiting:
                writer.write_table(pa.concat_tables(waiting).unify_dictionaries())
                waiting.clear()

        for entry in read_plan(store.plan):
            curves = store.case(entry.name) / "dvh.csv"
            if store.failure(entry.name).exists() or not curves.is_file():
                continue
            table = arrow_csv.read_csv(curves, convert_options=options)
            name = pa.array([entry.name] * len(table), pa.string())
            waiting.append(table.add_column(0, "case", name).cast(schema))
            if sum(len(t) for t in waiting) > _DVH_BATCH:
                write()
        write()


def _batches(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch

"""Many cases: one task per case, failures kept as rows, one table.

``plan`` lists the cases, ``entry`` makes one of them a case file, ``task`` assesses it in a worker, ``workers`` and
``dask_workers`` hand tasks to processes, ``run`` drives them, ``store`` keeps the files, ``tables`` and ``summary`` sum up. Dask, pyarrow and duckdb are the
extra ``cohort`` and are imported nowhere else.
"""

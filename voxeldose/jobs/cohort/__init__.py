"""Many cases: one task a case, failures kept as rows, one table.

``plan`` lists the cases, ``entry`` makes one of them a case file, ``task`` assesses it in a worker, ``workers`` and
``dask_workers`` hand tasks to processes, ``run`` is the story, ``tables`` and ``page`` sum up. Dask, pyarrow and duckdb are the
extra ``cohort`` and are imported nowhere else.
"""

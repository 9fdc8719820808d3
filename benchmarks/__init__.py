"""How right and how fast voxeldose is, against numbers and programs that are not voxeldose.

``python -m benchmarks`` prints the accuracy card and the speed card; ``python -m benchmarks.bench_SUBJECT`` goes deeper into
one subject.
"""

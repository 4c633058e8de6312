"""The benchmark: plans jobs, runs each in a process of its own, and makes tables and a report of their results.

The modules here run in the parent and import nothing heavy; :mod:`fgbg_zoo.benchmark.job` runs in the jobs' processes.
"""

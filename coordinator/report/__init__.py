"""Reports: a result shown as text, JSON or HTML. Each takes values of coordinator/result and nothing else."""

"""The coordinator's REST API: served inside the daemon, spoken by `osbench` and by whoever holds its token."""

"""Load host: runs the planned iterations, times every call, spools and ships the records."""

"""The simulator: whole runs of the real cores over models of everything else, in one thread, from one seed."""

"""Process plumbing: logs, systemd, the event loop, threads, garbage collection, clocks, files."""

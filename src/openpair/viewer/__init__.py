"""A window on results: a page that is served on this machine, or written as one file."""

"""Readers and writers of recorded and generated drives. The only room that knows files, formats and paths."""

"""Planners of another process: AlpaSim's driver interface over gRPC, both ends (docs/serving.md)."""

"""NAVSIM's on-disk format: log pickles, GeoPackage maps, scene filters, sensor files; read and written."""

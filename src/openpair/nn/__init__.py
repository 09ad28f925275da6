"""Networks' parts: encoders, fusion, ground lift, decoders, heads and their losses. No files, no data sets."""

#!/usr/bin/env bash
# The main comparison with sensors, ten times as long as the demo's, on one GPU: one seed, one page.
#   examples/cluster/reproduce_gpu.sh [OUT]
# It resumes: run it again after an interruption. OUT/results.md is the page; its first table names the machine.
set -euo pipefail
out=${1:-runs/gpu}
openpair doctor
openpair reproduce --size gpu --seeds 0 --devices cuda --workers "$(nproc)" --out "$out"

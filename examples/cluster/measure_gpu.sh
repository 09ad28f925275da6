#!/bin/bash
# About 8 minutes on one GPU: what training reaches there, and the tests that need CUDA. Prints; keeps nothing.
set -uo pipefail

scenes=${SCENES:-192}
cache=$(mktemp -d)
trap 'rm -rf "$cache"' EXIT

python -c 'import torch; print(torch.__version__, torch.cuda.get_device_name())' || exit 2

for batch in 32 128; do
    echo "== published, batch $batch"
    timeout 150 openpair bench train --preset published --device cuda --batch-size "$batch" --scenes "$scenes" \
        --cache "$cache" --steps 10
done

echo "== one rank per GPU under torchrun, and a dry run"
timeout 90 torchrun --nproc-per-node 1 -m openpair train il --preset quick --out "$cache/run" --dry-run

echo "== tests on CUDA"
timeout 180 python -m pytest -q -k cuda tests

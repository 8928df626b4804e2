#!/usr/bin/env bash
# All that a GPU machine is asked for, in the order in which a failure would matter: the GPU tests, compute-sanitizer on a
# small case, then every study, whose JSON goes to benchmarks/results. benchmarks/README.md says how to read it.
set -euo pipefail

root="$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.."
cd "$root"

say() { printf 'run_all: %s\n' "$*" >&2; }

build() {
  cmake --preset cuda
  cmake --build --preset cuda --target switchyard_gpu_tests switchyard_cli
  cmake --preset release -D SWITCHYARD_CUDA=ON
  cmake --build --preset release --target switchyard_cli
}

run_tests() {
  say "tests on the GPU"
  ctest --preset cuda -L gpu --output-on-failure
}

# Small: each tool makes kernels some hundred times slower, so the timeout is long.
run_sanitizers() {
  if ! command -v compute-sanitizer >/dev/null; then
    say "compute-sanitizer is not on PATH (it comes with the CUDA toolkit): left out"
    return 0
  fi
  local tool
  for tool in memcheck racecheck synccheck; do
    say "compute-sanitizer $tool"
    compute-sanitizer --tool "$tool" --target-processes all --error-exitcode 1 \
      build/cuda/bin/switchyard bench --target cuda --ranks 2 --sms 1 --tokens 16 --hidden 512 --experts 16 --topk 4 \
      --iterations 2 --warmup 1 --timeout 600
  done
}

build
run_tests
run_sanitizers
say "studies"
build/release/bin/switchyard bench --target cuda --study all --results benchmarks/results "$@"

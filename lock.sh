#!/usr/bin/env bash
# Writes every lock file: `make lock`. A pin that still fits its pyproject.toml stays; remove its line to renew it.
#
#   requirements.lock           what a tool needs, without torch
#   requirements-cuda.lock      torch as the package index has it, and the CUDA libraries that it names
#   requirements-cpu.lock       torch as PyTorch builds it for CPUs
#   requirements-build.lock     what builds the contract library itself
#   requirements-nodeps.lock    the group `nodeps` of its pyproject.toml, installed without what these name
#
# Two builds of torch: docs/decisions/0004-two-builds-of-torch.md.
set -euo pipefail
cd "$(dirname "$0")"

# sha256 of PyTorch's CPU wheels (Python 3.11, Linux on x86-64), by version. They are not on the package index.
declare -A torch_cpu=(
  [2.13.0]=6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b
)
contract=containers/contract/pyproject.toml

compile() {  # [option or pyproject.toml]…
  # Not from local wheels, and for one platform: a lock is the same wherever it is made.
  UV_FIND_LINKS= "$UV" pip compile --quiet --python-version 3.11 --python-platform x86_64-manylinux_2_36 \
    --generate-hashes --no-annotate --no-header --no-emit-index-url "$@"
}

compile_without_torch() {  # FILE.lock FILE-cuda.lock [option or pyproject.toml]…
  local rest=$1 cuda=$2 all
  all=$(mktemp --suffix=.lock)
  cat "$rest" "$cuda" >"$all" 2>/dev/null || true  # uv keeps the pins that it finds in its output file
  compile "${@:3}" --output-file "$all"
  rm -f "$rest"
  if [ -f "$cuda" ]; then rm "$cuda"; fi
  awk -v rest="$rest" -v cuda="$cuda" \
    '/^[^ ]/ { file = /^(torch|triton|cuda-[a-z-]*|nvidia-[a-z0-9-]*)==/ ? cuda : rest } { print > file }' "$all"
  rm "$all"
}

for project in containers/*/pyproject.toml; do
  folder=${project%/*}
  if [ "$project" = "$contract" ]; then continue; fi
  compile_without_torch "$folder/requirements.lock" "$folder/requirements-cuda.lock" "$project" "$contract"
  rm -f "$folder/requirements-cpu.lock"
  if [ -e "$folder/requirements-cuda.lock" ]; then
    version=$(sed -n 's/^torch==\([^ ]*\).*/\1/p' "$folder/requirements-cuda.lock")
    sha256=${torch_cpu[$version]:?name the sha256 of its CPU wheel in lock.sh}
    printf 'torch==%s+cpu \\\n    --hash=sha256:%s\n' "$version" "$sha256" >"$folder/requirements-cpu.lock"
  fi
  if grep -q '^nodeps = ' "$project"; then
    compile --no-deps --group "$project:nodeps" --output-file "$folder/requirements-nodeps.lock"
  fi
done

# The development environment takes torch from the trainer's locks.
compile_without_torch requirements-dev.lock /dev/null --group dev coordinator/pyproject.toml "$contract" \
  $(printf 'containers/%s/pyproject.toml ' $IMPORTED)
compile coordinator/pyproject.toml "$contract" --output-file coordinator/requirements.lock

# What `make sbom` and `make audit` use.
compile --group pyproject.toml:audit --output-file requirements-audit.lock

# What builds the contract library.
python3 -c 'import tomllib; print(*tomllib.load(open("'"$contract"'", "rb"))["build-system"]["requires"], sep="\n")' |
  compile - --output-file containers/contract/requirements-build.lock

# What `make` itself starts with.
compile --group pyproject.toml:uv --output-file requirements-uv.lock

# A new tool, and those of the tests, need the contract library alone.
new=coordinator/coordinator/tools/templates/tool/requirements.lock
compile "$contract" --output-file "$new"
for folder in tests/tools/*; do cp "$new" "$folder/requirements.lock"; done

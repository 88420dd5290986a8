#!/usr/bin/env bash
# make env: build or fix the environment from the lock; does nothing where it is up to date.
#
# The active conda environment made from environment.yml, else .venv. A new .venv is built beside the old one and
# renamed into place when it is complete, so an interrupt leaves the old one as it was. In both, `built-from` is a copy
# of the lock that the environment was built from, written last.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
  echo "make env: $*" >&2
  exit 1
}

say() { echo "make env: $*"; }

packages() { grep -c '==' requirements.lock; }

conda_environment() {
  local python=$CONDA_PREFIX/bin/python
  cmp -s requirements.lock "$CONDA_PREFIX/built-from" && return
  rm -f "$CONDA_PREFIX/built-from"
  say "installing $(packages) packages into the conda environment (1.4 GB; a few minutes)"
  "$python" -m pip install --quiet --require-hashes -r requirements.lock
  say 'installing this project'
  "$python" -m pip install --quiet --no-deps --no-build-isolation -e .
  cp requirements.lock "$CONDA_PREFIX/built-from"
  say 'the conda environment is ready'
}

# Path of the first suitable Python: the one that PYTHON names, else the newest usual name.
find_python() {
  local candidate path
  for candidate in ${PYTHON:-python3.12 python3.13 python3 python}; do
    path=$("$candidate" -c 'import sys; print(sys.executable if (3, 12) <= sys.version_info < (3, 14) else "")' \
      2>/dev/null) || continue
    [ -z "$path" ] || { echo "$path" && return; }
  done
  fail 'needs Python 3.12 or 3.13; install it (for example "apt install python3.12 python3.12-venv", "brew install' \
    'python@3.12" or "conda install python=3.12") or name it: make env PYTHON=/path/to/python3.12'
}

# Path of uv: the one on the PATH, else our own in .venv-uv, fetched when it is first needed.
find_uv() {
  local python=$1 new=$2
  command -v uv && return
  if [ ! -x .venv-uv/bin/uv ]; then
    say 'fetching uv, which installs packages, with pip' >&2
    "$python" -m venv "$new" >&2 ||
      fail "$python cannot make virtual environments; install its venv package (Debian: apt install python3-venv)"
    "$new"/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.8' >&2
    rm -rf .venv-uv
    mv "$new" .venv-uv
  fi
  echo .venv-uv/bin/uv
}

virtual_environment() {
  local python uv new=.venv-new-$$ index
  cat requirements.lock .python-version | cmp -s - .venv/built-from && return
  # shellcheck disable=SC2064  # the name as it is now
  trap "rm -rf '$new' '$new'-*" EXIT
  trap 'exit 130' INT TERM
  python=$(find_python)
  uv=$(find_uv "$python" "$new-uv")
  # uv does not read pip's configuration, which may be all that names the index.
  index=${UV_DEFAULT_INDEX:-${PIP_INDEX_URL:-$("$python" -m pip config get global.index-url 2>/dev/null || true)}}
  [ -z "$index" ] || export UV_DEFAULT_INDEX=$index
  say "building .venv with $("$python" -V)"
  "$uv" venv --quiet --relocatable --python "$python" --prompt fraud-detection "$new"
  say "installing $(packages) packages (1.4 GB; a minute or two)"
  "$uv" pip install --quiet --python "$new" --require-hashes --compile-bytecode -r requirements.lock
  say 'installing this project'
  "$uv" pip install --quiet --python "$new" --no-deps --no-build-isolation -e .
  cat requirements.lock .python-version >"$new/built-from"
  trap '' INT TERM # the two renames belong together
  [ ! -e .venv ] || mv .venv "$new-old"
  mv "$new" .venv
  say '.venv is ready'
}

if [ "${CONDA_DEFAULT_ENV:-}" = fraud-detection ]; then conda_environment; else virtual_environment; fi

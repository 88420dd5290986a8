#!/bin/bash
# Start script of a SageMaker notebook instance (lifecycle configuration, "start notebook"; notebook-al2023-v1).
#
# Only ~/SageMaker outlives a stop. The project is expected there, as a Git repository of the instance or a clone of
# yours. Its conda environment is built beside it, in the background: SageMaker gives this script five minutes. Later
# starts find the environment and only register it again as the kernel "fraud-detection". What happens is written to
# ~/SageMaker/fraud-detection-setup.log. A notebook volume of 20 GB is enough.
set -eu

# The work is the user's, not root's.
sudo -u ec2-user -H nohup bash -s >/dev/null 2>&1 <<'SETUP' &
set -eu
exec >"$HOME/SageMaker/fraud-detection-setup.log" 2>&1
PATH="$HOME/anaconda3/bin:$HOME/miniconda3/bin:$PATH"

recipe=$(grep -l '^name: fraud-detection$' "$HOME"/SageMaker/*/environment.yml | head -n 1) || true
if [ -z "$recipe" ]; then
  echo "no environment.yml of fraud-detection in a folder of ~/SageMaker: clone the project there, start again"
  exit 1
fi
project=$(dirname "$recipe")
environment="$HOME/SageMaker/conda/fraud-detection"
conda config --add envs_dirs "$HOME/SageMaker/conda"  # so that 'conda activate fraud-detection' finds it

# "built-from" is a copy of the lock, and the last thing that is written: a build that was cut short is done again.
if ! cmp -s "$project/requirements.lock" "$environment/built-from"; then
  rm -rf "$environment"
  (cd "$project" && conda env create --yes --prefix "$environment" --file environment.yml)
  "$environment/bin/python" -m pip install --no-deps --no-build-isolation --editable "$project"
  conda clean --yes --all
  cp "$project/requirements.lock" "$environment/built-from"
fi
"$environment/bin/python" -m ipykernel install --user --name fraud-detection --display-name fraud-detection
echo "ready: choose the kernel fraud-detection"
SETUP

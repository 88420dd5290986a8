"""SageMaker's API answered on this machine: jobs and endpoints run the container's own programs."""

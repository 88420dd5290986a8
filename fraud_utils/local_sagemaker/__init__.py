"""SageMaker's API answered on this machine: jobs and endpoints run the container's own programs.

`python -m fraud_utils.local_sagemaker` starts it; boto3, the AWS command line or a notebook then use it through
AWS_ENDPOINT_URL. Training, tuning and transform jobs, models and their registry, and endpoints are answered here:
`train` and `serve` really run, as processes, or in a container where an engine is named. moto's server answers for S3,
STS, CloudWatch, ECR and Application Auto Scaling; alarms are judged here while they watch over an endpoint's update.
Requests are checked against botocore's model of the service.

Nothing outlives the server, however it ends: each program has a guard (`guard`), a small process that kills it when the
pipe to the server closes. State is in memory only.
"""

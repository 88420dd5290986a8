"""Tuning jobs over boto3: training jobs that really run, so many at a time, and the best of them."""

import pytest
from botocore.exceptions import ClientError
from states import until

METRIC = {"Name": "reached", "Regex": r"train_average_precision:([.\d]+);"}
ROUND = {"Name": "round", "Regex": r"round:(\d+);"}
DEPTH = {"Name": "max_depth", "MinValue": "1", "MaxValue": "3", "ScalingType": "Linear"}
ETA = {"Name": "eta", "MinValue": "0.1", "MaxValue": "0.9", "ScalingType": "Logarithmic"}
BINS = {"Name": "max_bin", "Values": ["16", "32"]}
RANGES = {
    "IntegerParameterRanges": [DEPTH],
    "ContinuousParameterRanges": [ETA],
    "CategoricalParameterRanges": [BINS],
}


def tune(local, name, jobs=3, static=None, definition=None, **config):
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": local.url("train/")}}
    algorithm = {"TrainingImage": "fraud-detect", "TrainingInputMode": "File", "MetricDefinitions": [METRIC, ROUND]}
    request = {
        "StaticHyperParameters": {"num_round": "3", **(static or {})},
        "AlgorithmSpecification": algorithm,
        "RoleArn": local.role,
        "InputDataConfig": [{"ChannelName": "train", "DataSource": source}],
        "OutputDataConfig": {"S3OutputPath": local.url("jobs")},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
    }
    usual = {
        "Strategy": "Random",
        "RandomSeed": 7,
        "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "reached"},
        "ResourceLimits": {"MaxNumberOfTrainingJobs": jobs, "MaxParallelTrainingJobs": 2},
        "ParameterRanges": RANGES,
    }
    return local.sagemaker.create_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name,
        HyperParameterTuningJobConfig=usual | config,
        TrainingJobDefinition=request | (definition or {}),
        Tags=[{"Key": "owner", "Value": "fraud team"}],
    )


def described(local, name):
    return local.sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)


def ended(local, name):
    until(lambda: described(local, name)["HyperParameterTuningJobStatus"] not in ("InProgress", "Stopping"), "its end")
    return described(local, name)


def jobs_of(local, name):
    page = local.sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    return page["TrainingJobSummaries"]


def test_training_jobs_run_two_at_a_time_and_the_best_is_named(local):
    tune(local, "tuned")
    at_once = []

    def over():
        at_once.append(sum(job["TrainingJobStatus"] == "InProgress" for job in jobs_of(local, "tuned")))
        return described(local, "tuned")["HyperParameterTuningJobStatus"] != "InProgress"

    until(over, "the end of the tuning job")
    assert max(at_once) == 2
    job, trials = described(local, "tuned"), jobs_of(local, "tuned")
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    assert job["TrainingJobStatusCounters"]["Completed"] == len(trials) == 3
    values = {}
    for trial in trials:
        drawn = trial["TunedHyperParameters"]
        assert drawn.keys() == {"max_depth", "eta", "max_bin"}
        assert drawn["max_depth"] in "123" and 0.1 <= float(drawn["eta"]) <= 0.9 and drawn["max_bin"] in ("16", "32")
        one = local.described(trial["TrainingJobName"])
        assert (
            one["HyperParameters"].items() >= {**drawn, "num_round": "3", "_tuning_objective_metric": "reached"}.items()
        )
        assert one["TuningJobArn"] == job["HyperParameterTuningJobArn"]
        tags = local.sagemaker.list_tags(ResourceArn=one["TrainingJobArn"])["Tags"]
        assert tags == [{"Key": "owner", "Value": "fraud team"}]
        values[trial["TrainingJobName"]] = trial["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]
    assert values[job["BestTrainingJob"]["TrainingJobName"]] == max(values.values())
    listed = local.sagemaker.list_hyper_parameter_tuning_jobs(NameContains="tuned")["HyperParameterTuningJobSummaries"]
    assert [each["HyperParameterTuningJobStatus"] for each in listed] == ["Completed"]


def test_a_stopped_tuning_job_stops_its_training_jobs(local):
    tune(local, "stopped-tuning", static={"num_round": "100000"})
    until(lambda: any("TrainingStartTime" in job for job in jobs_of(local, "stopped-tuning")), "a training job at work")
    local.sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName="stopped-tuning")
    assert ended(local, "stopped-tuning")["HyperParameterTuningJobStatus"] == "Stopped"
    assert {job["TrainingJobStatus"] for job in jobs_of(local, "stopped-tuning")} == {"Stopped"}


def test_a_tuning_job_fails_when_all_its_training_jobs_do_and_says_why(local):
    tune(local, "failing", jobs=1, static={"imbalance": "SMOKE"})
    job = ended(local, "failing")
    assert job["HyperParameterTuningJobStatus"] == "Failed"
    assert "All training jobs failed" in job["FailureReason"] and "'imbalance' is 'SMOKE'" in job["FailureReason"]


OTHER = {"HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "auc"}}


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"Strategy": "Bayesian"}, "does not support Bayesian at 'HyperParameterTuningJobConfig.Strategy'"),
        (OTHER, "must be one of the MetricDefinitions"),
        ({"ParameterRanges": {}}, "at least one range"),
        ({"ParameterRanges": {"ContinuousParameterRanges": [ETA | {"MinValue": "1"}]}}, "must be below its MaxValue"),
        ({"ParameterRanges": {"ContinuousParameterRanges": [ETA | {"MinValue": "0"}]}}, "must be above 0"),
        ({"static": {"eta": "0.1"}}, "static and tuned: eta"),
        ({"definition": {"AlgorithmSpecification": {"TrainingInputMode": "File"}}}, "MetricDefinitions"),
        ({"TrainingJobEarlyStoppingType": "Auto"}, "does not support Auto"),
        (
            {"definition": {"RetryStrategy": {"MaximumRetryAttempts": 2}}},
            "does not support 'TrainingJobDefinition.Retry",
        ),
    ],
)
def test_a_tuning_job_is_refused_for_what_the_service_or_this_machine_does_not_take(local, change, part):
    with pytest.raises(ClientError) as refused:
        tune(local, "wrong-tuning", **change)
    assert part in refused.value.response["Error"]["Message"]

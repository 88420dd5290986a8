"""Training and batch transform jobs: what they leave, how they fail, and how they are stopped."""

import io
from pathlib import Path

import numpy as np
import pytest
from botocore.exceptions import ClientError
from states import until

from fraud_utils import artifact

ENDLESS = 100_000  # rounds
TWO = {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 1}


def test_a_job_leaves_a_model_in_s3_its_metrics_and_a_log(local, trained):
    assert trained["TrainingJobStatus"] == "Completed"
    steps = [step["Status"] for step in trained["SecondaryStatusTransitions"]]
    assert steps == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert trained["FinalMetricDataList"][0]["Value"] == 20
    assert trained["ModelArtifacts"]["S3ModelArtifacts"] == local.url("jobs/plain/output/model.tar.gz")
    assert len(local.get(local.url("jobs/plain/output/model.tar.gz"))) > 1000
    lines = local.lines("TrainingJobs", "plain")
    assert "train_rows:4000; train_frauds:85;" in lines
    assert "model saved" in lines


def test_a_job_whose_program_fails_gives_the_programs_reason(local):
    local.train("fails", HyperParameters={"num_round": "many"})
    described = local.finished("fails")
    assert described["TrainingJobStatus"] == described["SecondaryStatus"] == "Failed"
    assert "AlgorithmError: hyperparameter 'num_round' is 'many'" in described["FailureReason"]
    assert "ModelArtifacts" not in described


def test_a_job_without_data_names_the_place_where_it_looked(local):
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": local.url("none/")}}
    local.train("empty", InputDataConfig=[{"ChannelName": "train", "DataSource": source}])
    assert f"no objects found under S3 URL {local.url('none/')}" in local.finished("empty")["FailureReason"]


def test_a_stopped_job_keeps_the_trees_grown_so_far(local, tmp_path):
    local.train("stopped", ENDLESS // 20)
    until(lambda: local.described("stopped")["FinalMetricDataList"], "a round in the log")
    local.sagemaker.stop_training_job(TrainingJobName="stopped")
    described = local.finished("stopped")
    assert described["TrainingJobStatus"] == described["SecondaryStatus"] == "Stopped"
    (tmp_path / "model.tar.gz").write_bytes(local.get(described["ModelArtifacts"]["S3ModelArtifacts"]))
    artifact.unpack(tmp_path / "model.tar.gz", tmp_path / "model")
    assert (
        artifact.load(tmp_path / "model").manifest["metrics"]["rounds"] >= described["FinalMetricDataList"][0]["Value"]
    )
    assert not local.running("train")
    with pytest.raises(ClientError, match="the training job is in status Stopped"):
        local.sagemaker.stop_training_job(TrainingJobName="stopped")


def test_a_job_stopped_before_it_has_a_model_names_the_place_but_no_model_is_there(local):
    """DescribeTrainingJob names the place that is configured; CreateModel is where a missing model is noticed."""
    local.train("early", ENDLESS)
    (trainer,) = until(lambda: local.running("train"), "the program's start")
    trainer.suspend()  # it cannot react to the stop, whatever it is doing
    local.sagemaker.stop_training_job(TrainingJobName="early")
    trainer.kill()  # as SageMaker does, two minutes later
    described = local.finished("early")
    assert described["TrainingJobStatus"] == described["SecondaryStatus"] == "Stopped"
    assert "FailureReason" not in described
    assert "Uploading" not in [step["Status"] for step in described["SecondaryStatusTransitions"]]
    place = described["ModelArtifacts"]["S3ModelArtifacts"]
    assert place == local.url("jobs/early/output/model.tar.gz")
    with pytest.raises(ClientError, match=f"Could not find model data at {place}"):
        local.create_model("early", place)


def test_a_job_is_ended_when_its_time_is_over(local):
    local.train("endless", ENDLESS, StoppingCondition={"MaxRuntimeInSeconds": 1})
    described = local.finished("endless")
    assert (described["TrainingJobStatus"], described["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")


@pytest.mark.parametrize("count", [1, pytest.param(2, marks=pytest.mark.long)])
def test_a_spot_job_that_loses_an_instance_goes_on_from_its_checkpoint(local, count):
    name = f"spot-on-{count}"
    local.train(
        name,
        2_000,
        ResourceConfig=TWO | {"InstanceCount": count},
        EnableManagedSpotTraining=True,
        StoppingCondition={"MaxRuntimeInSeconds": 3600, "MaxWaitTimeInSeconds": 7200},
        CheckpointConfig={"S3Uri": local.url(f"checkpoints/{count}")},
    )
    trainers = until(lambda: len(local.running("train")) == count and local.running("train"), "the program's start")
    trees = [Path(trainer.environ()["SAGEMAKER_BASE_DIR"]) for trainer in trainers]
    until(lambda: any(file for tree in trees for file in tree.glob("checkpoints/*.ubj")), "a checkpoint")
    trainers[-1].kill()
    described = local.finished(name)
    steps = [step["Status"] for step in described["SecondaryStatusTransitions"]]
    assert steps[2:5] == ["Training", "Interrupted", "Starting"]
    assert described["TrainingJobStatus"] == "Completed"
    lines = local.lines("TrainingJobs", name)
    assert any(line.startswith("going on from the checkpoint after round") for line in lines)
    until(lambda: not any(tree.exists() for tree in trees), "the end of the programs' folders")


def sharded(local, split, parts):
    """The channel `train` in so many objects, which are dealt to the hosts."""
    rows = split.train
    for number in range(parts):
        part = rows[number * len(rows) // parts : (number + 1) * len(rows) // parts]
        local.s3.put_object(
            Bucket=local.bucket, Key=f"{parts}-parts/{number}.csv", Body=part.to_csv(index=False).encode()
        )
    where = {
        "S3DataType": "S3Prefix",
        "S3Uri": local.url(f"{parts}-parts/"),
        "S3DataDistributionType": "ShardedByS3Key",
    }
    return [{"ChannelName": "train", "DataSource": {"S3DataSource": where}}]


def test_a_job_on_two_instances_leaves_one_model_of_all_rows(local, split, tmp_path):
    local.train("two", InputDataConfig=sharded(local, split, 5), ResourceConfig=TWO)
    described = local.finished("two")
    assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason")
    (tmp_path / "model.tar.gz").write_bytes(local.get(described["ModelArtifacts"]["S3ModelArtifacts"]))
    artifact.unpack(tmp_path / "model.tar.gz", tmp_path / "model")
    assert artifact.load(tmp_path / "model").manifest["training"]["rows"] == len(split.train)
    assert "train_rows:4000; train_frauds:85;" in local.lines("TrainingJobs", "two/algo-1-")
    assert described["FinalMetricDataList"][0]["Value"] == 20


def test_more_instances_than_objects_are_refused_with_the_remedy(local, split):
    local.train("few", InputDataConfig=sharded(local, split, 1), ResourceConfig=TWO)
    reason = local.finished("few")["FailureReason"]
    assert "channel 'train' is empty" in reason
    assert "ShardedByS3Key deals whole files to 2 hosts: write at least so many, or set FullyReplicated" in reason


@pytest.mark.long
def test_a_job_ends_when_one_of_its_hosts_is_killed(local):
    local.train("killed", ENDLESS // 4, ResourceConfig=TWO)
    until(lambda: local.described("killed")["FinalMetricDataList"], "a round in the log")
    trainers = local.running("train")
    second = next(each for each in trainers if each.environ()["SAGEMAKER_BASE_DIR"].endswith("-2"))
    trees = [Path(each.environ()["SAGEMAKER_BASE_DIR"]) for each in trainers]
    second.kill()
    described = local.finished("killed")
    assert described["TrainingJobStatus"] == "Failed"
    assert "AlgorithmError: host 127.0.0.2 ended before the job did, without a reason" in described["FailureReason"]
    assert not local.running("train")
    until(lambda: not any(tree.exists() for tree in trees), "the end of the job's folders")


def transform(local, name, model, **more):
    """A batch transform of what lies under its name, ended."""
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": local.url(f"{name}/")}}
    request = {
        "TransformJobName": name,
        "ModelName": model,
        "MaxPayloadInMB": 1,
        "MaxConcurrentTransforms": 2,
        "TransformInput": {"DataSource": source, "ContentType": "text/csv", "SplitType": "Line"},
        "TransformOutput": {"S3OutputPath": local.url(f"scored/{name}"), "Accept": "text/csv", "AssembleWith": "Line"},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
    }
    local.sagemaker.create_transform_job(**request | more)

    def ended():
        described = local.sagemaker.describe_transform_job(TransformJobName=name)
        return described["TransformJobStatus"] != "InProgress" and described

    return until(ended, f"the end of the transform job {name}")


def requests(local, name):
    return [line for line in local.lines("TransformJobs", name) if "/invocations" in line]


def test_batch_transform_splits_objects_by_line_and_stays_within_the_payload(local, model, loaded, split):
    rows, scores = local.get(local.url("test/rows.csv")), loaded.score(split.test)
    local.s3.put_object(Bucket=local.bucket, Key="large/rows.csv", Body=rows * 8)
    local.s3.put_object(Bucket=local.bucket, Key="large/more/rows.csv", Body=rows.removesuffix(b"\n"))
    assert transform(local, "large", model)["TransformJobStatus"] == "Completed"
    for name, expected in (("rows", np.tile(scores, 8)), ("more/rows", scores)):
        answers = np.loadtxt(io.BytesIO(local.get(local.url(f"scored/large/{name}.csv.out"))))
        np.testing.assert_allclose(answers, expected, atol=1e-9)
    assert len(requests(local, "large")) == -(-len(rows) * 8 // (1 << 20)) + 1


def test_objects_that_fail_leave_no_answers_and_the_others_theirs(local, model):
    first, second, _ = local.get(local.url("test/rows.csv")).split(b"\n", 2)
    good = first + b"\n" + second + b"\n"
    for name, body in (("bad", b"1,2,3\n"), ("good", good), ("long", good + b"1," * (1 << 19) + good)):
        local.s3.put_object(Bucket=local.bucket, Key=f"some/{name}.csv", Body=body)
    described = transform(local, "some", model, BatchStrategy="SingleRecord")
    assert described["TransformJobStatus"] == "Failed"
    assert described["FailureReason"] == "ClientError: See job logs for more information"
    found = local.s3.list_objects_v2(Bucket=local.bucket, Prefix="scored/some/")["Contents"]
    assert [each["Key"] for each in found] == ["scored/some/good.csv.out"]
    messages = local.lines("TransformJobs", "some")
    assert "mine/some/bad.csv: Bad HTTP status received from algorithm: 400" in messages
    assert "mine/some/long.csv: Too much data for max payload size: a line is over MaxPayloadInMB=1" in messages
    assert len(requests(local, "some")) == 1 + 2 + 2  # a line each


@pytest.mark.parametrize(
    ("megabytes", "concurrent", "message"),
    [(51, 2, "their product ends at 100 MB"), (0, 1, "does not support a MaxPayloadInMB of 0")],
)
def test_a_batch_transform_of_payloads_that_are_too_large_is_refused(local, model, megabytes, concurrent, message):
    with pytest.raises(ClientError, match=message):
        transform(local, "vast", model, MaxPayloadInMB=megabytes, MaxConcurrentTransforms=concurrent)

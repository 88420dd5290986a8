"""Models and endpoints: `serve` as clients meet it, with boto3 and with the plain AWS command line."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from states import until

SETTINGS = {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "secret"}
DESTINATION = "s3://mine/captured"


@pytest.fixture(scope="module")
def endpoint(local, model):
    """An endpoint's name; it captures CSV as text."""
    capture = {
        "EnableCapture": True,
        "InitialSamplingPercentage": 100,
        "DestinationS3Uri": DESTINATION,
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"]},
    }
    local.create_config("capturing", model, DataCaptureConfig=capture)
    local.create_endpoint("capturing", "capturing")
    return "capturing"


@pytest.fixture(scope="module")
def runtime(local):
    return local.client("sagemaker-runtime")


def test_the_plain_aws_command_line_sees_the_job_invokes_the_endpoint_and_sees_it_gone(
    local, trained, model, loaded, split, tmp_path
):
    def aws(*words, refused=False):
        command = [str(Path(sys.executable).with_name("aws")), *words]
        environment = os.environ | SETTINGS | {"AWS_ENDPOINT_URL": local.address, "AWS_PAGER": ""}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert bool(done.returncode) == refused, done.stderr
        return json.loads(done.stdout) if done.stdout.startswith("{") else done.stderr

    described = aws("sagemaker", "describe-training-job", "--training-job-name", "plain")
    assert described["ModelArtifacts"] == trained["ModelArtifacts"]
    local.create_config("c", model)
    local.create_endpoint("e", "c")
    row = tmp_path / "row.csv"
    split.test.head(1).to_csv(row, index=False)
    invoke = ["sagemaker-runtime", "invoke-endpoint", "--endpoint-name", "e", "--content-type", "text/csv"]
    answer = aws(*invoke, "--body", f"fileb://{row}", str(tmp_path / "answer"))
    assert answer["InvokedProductionVariant"] == "v"
    expected = loaded.score(split.test.head(1))[0]
    assert float((tmp_path / "answer").read_text()) == pytest.approx(expected, abs=1e-9)
    before = local.running("serve")
    aws("sagemaker", "delete-endpoint", "--endpoint-name", "e")
    listed = local.sagemaker.list_endpoints
    until(lambda: "e" not in [each["EndpointName"] for each in listed()["Endpoints"]], "the endpoint's end")
    assert len(local.running("serve")) < len(before)
    gone = aws(*invoke, "--body", f"fileb://{row}", str(tmp_path / "answer"), refused=True)
    assert "Endpoint e of account 123456789012 not found" in gone
    with pytest.raises(ClientError, match="Could not find endpoint"):
        local.sagemaker.describe_endpoint(EndpointName="e")


def test_what_is_captured_can_be_read_and_carries_the_inference_id(local, endpoint, runtime, split):
    row = split.test.head(1).to_csv(index=False)
    answer = runtime.invoke_endpoint(EndpointName=endpoint, Body=row, ContentType="text/csv", InferenceId="payment-7")
    score = answer["Body"].read().decode()

    def captured():
        found = local.s3.list_objects_v2(Bucket=local.bucket, Prefix="captured/").get("Contents", [])
        lines = [line for item in found for line in local.get(local.url(item["Key"])).decode().splitlines()]
        return [
            record for record in map(json.loads, lines) if record["eventMetadata"].get("inferenceId") == "payment-7"
        ]

    (record,) = until(captured, "the captured request")
    asked, answered = record["captureData"]["endpointInput"], record["captureData"]["endpointOutput"]
    assert (asked["encoding"], asked["mode"], asked["data"]) == ("CSV", "INPUT", row)
    assert (answered["mode"], answered["data"]) == ("OUTPUT", score)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", record["eventMetadata"]["inferenceTime"])
    keys = [item["Key"] for item in local.s3.list_objects_v2(Bucket=local.bucket, Prefix="captured/")["Contents"]]
    tree = r"captured/capturing/v/\d{4}/\d\d/\d\d/\d\d/\d\d-\d\d-\d{3}-[0-9a-f-]{36}\.jsonl"
    assert all(re.fullmatch(tree, key) for key in keys), keys


def test_what_the_container_refuses_is_a_model_error_with_its_status_and_message(endpoint, runtime):
    with pytest.raises(runtime.exceptions.ModelError) as refused:
        runtime.invoke_endpoint(EndpointName=endpoint, Body=b"1,2,3\n", ContentType="text/csv")
    assert refused.value.response["OriginalStatusCode"] == 400
    assert refused.value.response["OriginalMessage"] in refused.value.response["Error"]["Message"]


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ({"TargetModel": "other.tar.gz"}, "does not support TargetModel"),
        ({"TargetContainerHostname": "other"}, "does not support TargetContainerHostname"),
        ({"TargetVariant": "other"}, "Variant other not found for Endpoint capturing"),
    ],
)
def test_a_request_for_another_model_or_variant_is_refused(endpoint, runtime, asked, part):
    with pytest.raises(ClientError, match=part) as refused:
        runtime.invoke_endpoint(EndpointName=endpoint, Body=b"1", ContentType="text/csv", **asked)
    assert refused.value.response["Error"]["Code"] == "ValidationError"


def test_the_only_variant_can_be_named(endpoint, runtime, split):
    row = split.test.head(1).to_csv(index=False)
    asked = {"EndpointName": endpoint, "Body": row, "ContentType": "text/csv", "TargetVariant": "v"}
    assert runtime.invoke_endpoint(**asked)["InvokedProductionVariant"] == "v"


def test_an_endpoint_of_two_instances_runs_two_programs_that_take_turns(local, model, runtime, split):
    variant = {"VariantName": "v", "ModelName": model, "InstanceType": "ml.m5.large", "InitialInstanceCount": 2}
    local.create_config("two", "", ProductionVariants=[variant])
    local.create_endpoint("two", "two")
    row = split.test.head(1).to_csv(index=False)
    for _ in range(2):
        runtime.invoke_endpoint(EndpointName="two", Body=row, ContentType="text/csv")

    def asked():
        """Those of the instances' logs that have a request."""
        logs, group = local.client("logs"), "/aws/sagemaker/Endpoints/two"
        if not logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:  # nothing has been written yet
            return set()
        pages = logs.filter_log_events(logGroupName=group)["events"]
        return {each["logStreamName"] for each in pages if "/invocations" in each["message"]}

    until(lambda: len(asked()) == 2, "a request in both logs")
    local.sagemaker.delete_endpoint(EndpointName="two")


def test_an_asynchronous_request_is_refused(endpoint, runtime):
    with pytest.raises(ClientError, match="does not support async-invocations"):
        runtime.invoke_endpoint_async(EndpointName=endpoint, InputLocation="s3://mine/test/rows.csv")

"""Cleaning up from anywhere: whose things go, what is said, and what happens where AWS refuses a step."""

import contextlib
import dataclasses
import http.client
import http.server
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import threading
from urllib.parse import urlsplit

import deployments
import pytest
import states
from deployments import client, left

from fraud_utils import deploy
from fraud_utils.data import ULB
from fraud_utils.deploy.__main__ import main
from fraud_utils.deploy.place import short, stem


def cleanup(*arguments):
    return main(["cleanup", "--target", "local", *arguments])


def create(run, name, bucket, endpoint=True):
    """A run's model, configuration and endpoint under one name, and what watches over an update of it.

    The endpoint fails at once, since its model is none.
    """
    sagemaker, s3 = client("sagemaker"), client("s3")
    url, tags = f"s3://{bucket}/fraud-detection/{name}", {"fraud-detection:run": run}
    tags = [{"Key": key, "Value": value} for key, value in (tags | {"fraud-detection:data": url}).items()]
    s3.put_object(Bucket=bucket, Key=f"fraud-detection/{name}/model.tar.gz", Body=b"none")
    container = {"Image": "fraud-detect", "ModelDataUrl": f"{url}/model.tar.gz"}
    role = "arn:aws:iam::123456789012:role/local"
    variant = {"VariantName": "AllTraffic", "ModelName": name, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer=container, Tags=tags)
    if endpoint:
        watched = {"Namespace": "AWS/SageMaker", "MetricName": "ModelLatency", "Statistic": "Average", "Period": 60}
        watched |= {"EvaluationPeriods": 1, "ComparisonOperator": "GreaterThanThreshold", "Threshold": 1, "Tags": tags}
        client("cloudwatch").put_metric_alarm(AlarmName=f"{name}-errors", **watched)
        made = {"metricNamespace": "fraud-detection", "metricName": "Rows", "metricValue": "$.rows"}
        group, pattern = f"/aws/sagemaker/Endpoints/{name}", "{ $.rows >= 0 }"
        asked = {"logGroupName": group, "filterName": f"{name}-rows", "filterPattern": pattern}
        client("logs").put_metric_filter(**asked, metricTransformations=[made])
        sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant], Tags=tags)
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name, Tags=tags)


@pytest.fixture(scope="module")
def bucket(server, tmp_path_factory):
    """SageMaker's default one."""
    deployment = deploy.connect("local", tmp_path_factory.mktemp("folder") / "first")
    deployment.watch.end()
    return deployment.site.place.bucket


def test_cleanup_takes_a_runs_things_and_leaves_others_and_younger_ones(bucket, split, tmp_path, capsys):
    mine, other = (deploy.connect("local", tmp_path / run) for run in ("mine", "other"))
    create("mine", mine.name, bucket)
    other.upload(split, ULB)
    with pytest.raises(SystemExit):  # neither a run nor an age
        cleanup()
    assert cleanup("--older-than", "1h") == 0
    assert capsys.readouterr().out.endswith("nothing was left\n")
    done = subprocess.run([sys.executable, *shlex.split(mine.keep())[1:]], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for kind in ("Endpoint", "Alarm", "EndpointConfig", "Model"):
        assert f"deleting {kind} {mine.name}\n" in done.stdout
    assert left("mine") == []
    assert len(left("other")) == 4
    assert cleanup("--run", "mine") == 0
    assert capsys.readouterr().out == "nothing was left\n"
    assert cleanup("--older-than", "0m") == 0
    assert left("other") == []
    other.watch.end()


def test_a_tag_that_names_a_whole_bucket_has_nothing_emptied(bucket, tmp_path, capsys):
    other = deploy.connect("local", tmp_path / "neighbour")
    name = f"{stem('tagged')}-x"
    client("s3").put_object(Bucket=bucket, Key=f"fraud-detection/{other.name}/x")
    create("tagged", name, bucket, endpoint=False)
    arn = client("sagemaker").describe_model(ModelName=name)["ModelArn"]
    client("sagemaker").add_tags(ResourceArn=arn, Tags=[{"Key": "fraud-detection:data", "Value": f"s3://{bucket}"}])
    assert cleanup("--run", "tagged") == 0
    assert capsys.readouterr().out.startswith(f"deleting Model {name}\n")
    assert len(left("neighbour")) == 1
    assert other.delete()


def test_without_an_account_cleanup_says_what_to_do(tmp_path):
    bare = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    bare |= {"AWS_EC2_METADATA_DISABLED": "true", "HOME": str(tmp_path), "AWS_REGION": "eu-west-1"}
    command = [sys.executable, "-m", "fraud_utils.deploy", "cleanup", "--run", "x"]
    done = subprocess.run(command, capture_output=True, text=True, env=bare)
    assert done.returncode == 1
    assert "aws configure" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_that_ended_with_its_notebook_has_left_nothing(monkeypatch, capsys):
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    assert cleanup("--run", "alone") == 0
    assert "nothing is left of it" in capsys.readouterr().out


# ------------------------------------------------------------------------------------------------- what AWS refuses


def cbor(texts):
    """A map of short texts as CloudWatch's errors are written (RFC 8949)."""
    words = [word.encode() for item in texts.items() for word in item]
    return bytes([0xA0 + len(texts)]) + b"".join(b"\x79" + len(word).to_bytes(2) + word for word in words)


@dataclasses.dataclass
class Denying:
    """A server that passes everything on but one action; the actions it was asked for."""

    port: int = 0
    action: str = ""
    asked: set[str] = dataclasses.field(default_factory=set)


@pytest.fixture(scope="module")
def denier(server):
    """One for all tests: clients of another address read the descriptions of their services anew."""
    upstream, state = urlsplit(os.environ["AWS_ENDPOINT_URL"]), Denying()

    class Proxy(http.server.BaseHTTPRequestHandler):
        def handle_request(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            service = re.search(r"Credential=\S*/([^/]+)/aws4_request", self.headers["Authorization"])[1]
            by_path = re.search("/operation/([A-Za-z]+)$", self.path)
            operation = self.headers.get("X-Amz-Target", "").rpartition(".")[2] or (by_path and by_path[1])
            operation = operation or f"{self.command} {self.path}"
            state.asked.add(wanted := deployments.action(service, operation))
            if wanted == state.action:
                message = f"User: arn:aws:iam::1:user/x is not authorized to perform: {wanted} on resource: *"
                refusal = {"__type": "AccessDeniedException", "message": message}
                xml = f"<Error><Code>AccessDenied</Code><Message>{message}</Message></Error>"
                content = xml.encode() if service == "s3" else json.dumps(refusal).encode()
                if by_path:
                    content = cbor(refusal)
                self.answer(403, {"smithy-protocol": "rpc-v2-cbor"} if by_path else {}, content)
                return
            connection = http.client.HTTPConnection(upstream.hostname, upstream.port)
            connection.request(self.command, self.path, body, dict(self.headers))
            response = connection.getresponse()
            self.answer(response.status, dict(response.getheaders()), response.read())
            connection.close()

        do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = handle_request  # noqa: N815

        def answer(self, status, headers, content):
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        threading.Thread(target=proxy.serve_forever, args=(0.02,), daemon=True).start()
        state.port = proxy.server_port
        yield state
        proxy.shutdown()


@pytest.fixture
def denying(denier):
    """Puts into the environment the server that denies an action, and gives the set of those it is asked for."""

    @contextlib.contextmanager
    def denying(action):
        denier.action, denier.asked = action, set()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{denier.port}")
            yield denier.asked

    return denying


def train_without_end(run, name, bucket, rows):
    """A run's training job, at work until it is stopped."""
    sagemaker, url = client("sagemaker"), f"s3://{bucket}/fraud-detection/{name}"
    client("s3").put_object(Bucket=bucket, Key=f"fraud-detection/{name}/train/rows.csv", Body=rows)
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"{url}/train/"}}
    sagemaker.create_training_job(
        TrainingJobName=name,
        RoleArn="arn:aws:iam::123456789012:role/local",
        AlgorithmSpecification={"TrainingImage": "fraud-detect", "TrainingInputMode": "File"},
        HyperParameters={"num_round": "100000"},
        InputDataConfig=[{"ChannelName": "train", "DataSource": source}],
        OutputDataConfig={"S3OutputPath": f"{url}/jobs"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 3600},
        Tags=[{"Key": "fraud-detection:run", "Value": run}, {"Key": "fraud-detection:data", "Value": url}],
    )


def tune_without_end(run, name, bucket, rows):
    """A run's tuning job, whose only training job is at work until it is stopped."""
    sagemaker, url = client("sagemaker"), f"s3://{bucket}/fraud-detection/{name}"
    client("s3").put_object(Bucket=bucket, Key=f"fraud-detection/{name}/train/rows.csv", Body=rows)
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"{url}/train/"}}
    depth = {"Name": "max_depth", "MinValue": "1", "MaxValue": "3"}
    metric = {"Name": "round", "Regex": r"round:(\d+);"}
    sagemaker.create_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=short(name),
        HyperParameterTuningJobConfig={
            "Strategy": "Random",
            "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "round"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 1, "MaxParallelTrainingJobs": 1},
            "ParameterRanges": {"IntegerParameterRanges": [depth]},
        },
        TrainingJobDefinition={
            "StaticHyperParameters": {"num_round": "100000"},
            "AlgorithmSpecification": {
                "TrainingImage": "fraud-detect",
                "TrainingInputMode": "File",
                "MetricDefinitions": [metric],
            },
            "RoleArn": "arn:aws:iam::123456789012:role/local",
            "InputDataConfig": [{"ChannelName": "train", "DataSource": source}],
            "OutputDataConfig": {"S3OutputPath": f"{url}/jobs"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        },
        Tags=[{"Key": "fraud-detection:run", "Value": run}, {"Key": "fraud-detection:data", "Value": url}],
    )


def transform_for_minutes(run, name, bucket, trained):
    """A run's batch transform of very many rows, each a request."""
    sagemaker, url = client("sagemaker"), f"s3://{bucket}/fraud-detection/{name}"
    rows = (",".join(["0.5"] * 30) + "\n").encode() * 50_000
    client("s3").put_object(Bucket=bucket, Key=f"fraud-detection/{name}/test/rows.csv", Body=rows)
    sagemaker.create_model(
        ModelName=f"{name}-whole",
        ExecutionRoleArn="arn:aws:iam::123456789012:role/local",
        PrimaryContainer={"Image": "fraud-detect", "ModelDataUrl": trained.model_url},
        Tags=[{"Key": "fraud-detection:run", "Value": run}],
    )
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"{url}/test/"}}
    sagemaker.create_transform_job(
        TransformJobName=name,
        ModelName=f"{name}-whole",
        BatchStrategy="SingleRecord",
        TransformInput={"DataSource": source, "ContentType": "text/csv", "SplitType": "Line"},
        TransformOutput={"S3OutputPath": f"{url}/scored", "Accept": "text/csv"},
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
        Tags=[{"Key": "fraud-detection:run", "Value": run}],
    )


# Every action that cleaning up asks for, and the kinds of things that stay where it is denied.
STAYS = {
    **{f"sagemaker:List{what}": set() for what in ("Models", "EndpointConfigs", "Endpoints", "Tags")},
    **{f"sagemaker:{verb}TrainingJob{s}": set() for verb, s in (("List", "s"), ("Describe", ""))},
    **{f"sagemaker:{verb}TransformJob{s}": set() for verb, s in (("List", "s"), ("Describe", ""))},
    **{f"sagemaker:{verb}HyperParameterTuningJob{s}": set() for verb, s in (("List", "s"), ("Describe", ""))},
    "application-autoscaling:DeregisterScalableTarget": set(),
    "sagemaker:DeleteModel": {"Model"},
    "sagemaker:DeleteEndpointConfig": {"EndpointConfig"},
    "sagemaker:DeleteEndpoint": {"Endpoint", "Alarm", "MetricFilter", "EndpointConfig", "Model"},
    "cloudwatch:DescribeAlarms": set(),
    "cloudwatch:SetAlarmState": set(),
    "cloudwatch:ListTagsForResource": set(),
    "cloudwatch:DeleteAlarms": {"Alarm"},
    "logs:DeleteMetricFilter": {"Alarm", "MetricFilter"},
    "sagemaker:StopTrainingJob": {"TrainingJob"},
    "sagemaker:StopTransformJob": {"TransformJob"},
    "sagemaker:StopHyperParameterTuningJob": {"HyperParameterTuningJob", "TrainingJob"},
    "s3:ListBucket": set(),
    "s3:DeleteObject": set(),
}


def made(run, bucket, action, trained, rows):
    """A deployment as it is in the middle of things: an endpoint, and the job that the action concerns."""
    name = f"{stem(run)}-1124094810-d330"
    create(run, name, bucket)
    if "TrainingJob" in action:
        train_without_end(run, name, bucket, rows)
    if "TuningJob" in action:
        tune_without_end(run, name, bucket, rows)
    if "TransformJob" in action:
        transform_for_minutes(run, name, bucket, trained)


@pytest.fixture(scope="module")
def rows(split):
    return split.train.iloc[::20].to_csv(index=False).encode()


SHOWN = (  # to list, to end what bills, to stop, and the other ways in which services refuse; the others are long
    *("sagemaker:ListModels", "sagemaker:DeleteEndpoint", "sagemaker:StopTrainingJob"),
    *("cloudwatch:DescribeAlarms", "s3:DeleteObject"),
)


@pytest.mark.parametrize(
    "action", [each if each in SHOWN else pytest.param(each, marks=pytest.mark.long) for each in STAYS]
)
def test_a_denied_action_keeps_no_other_step_from_being_taken(bucket, trained, rows, denying, capsys, action):
    run = f"denied-{re.sub('[^A-Z]', '', action).lower()}-{len(action)}"
    made(run, bucket, action, trained, rows)
    with denying(action):
        assert cleanup("--run", run) == 1
    assert f"let the role do {action}" in (said := capsys.readouterr().err)
    assert ("BILLS" in said) == (action == "sagemaker:DeleteEndpoint")

    def things():
        return {thing.partition(" ")[0] for thing in left(run) if " " in thing}

    states.until(lambda: things() == STAYS[action], "the end of all that could be ended")  # a job stops in the end
    assert cleanup("--run", run) == 0
    assert left(run) == []


def test_cleaning_up_asks_for_no_action_that_is_not_denied_in_turn_above(bucket, trained, rows, denying):
    made("everything", bucket, "TuningJob TrainingJob TransformJob", trained, rows)
    with denying("nothing") as asked:
        assert cleanup("--run", "everything") == 0
    assert asked - {"sts:POST /"} == STAYS.keys()  # who one is may always be asked
    assert STAYS.keys() <= deployments.ALLOWED


def test_a_service_that_cannot_be_reached_keeps_no_endpoint(bucket, capsys, monkeypatch):
    """A company's network without a VPC endpoint for it, say."""
    create("walled-in", f"{stem('walled-in')}-1124094810-d330", bucket)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        closed = f"http://127.0.0.1:{probe.getsockname()[1]}"
    with monkeypatch.context() as patch:
        for service in ("APPLICATION_AUTO_SCALING", "STS"):
            patch.setenv(f"AWS_ENDPOINT_URL_{service}", closed)
        assert cleanup("--run", "walled-in") == 1
    assert "ending the scaling of" in capsys.readouterr().err
    assert not [thing for thing in left("walled-in") if " " in thing]
    assert cleanup("--run", "walled-in") == 0


def test_things_of_all_runs_are_not_deleted_by_their_names_alone(bucket, denying):
    name = f"{stem('unread')}-1124094810-d330"
    create("unread", name, bucket)
    with denying("sagemaker:ListTags"):
        assert cleanup("--older-than", "0m") == 1
    assert f"Endpoint {name}" in left("unread")
    assert cleanup("--run", "unread") == 0

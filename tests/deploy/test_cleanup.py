"""Cleaning up from anywhere: whose things go, what is said, and what happens where AWS refuses a step."""

import contextlib
import http.client
import http.server
import json
import os
import shlex
import subprocess
import sys
import threading
from urllib.parse import urlsplit

import boto3
import pytest
from deployments import left

from fraud_utils import deploy
from fraud_utils.data import ULB
from fraud_utils.deploy.__main__ import main
from fraud_utils.deploy.place import stem


def cleanup(*arguments):
    return main(["cleanup", "--target", "local", *arguments])


def create(run, name, bucket, endpoint=True):
    """A run's model, configuration and endpoint under one name; the endpoint fails at once, since its model is none."""
    sagemaker, s3 = boto3.client("sagemaker"), boto3.client("s3")
    url, tags = f"s3://{bucket}/fraud-detection/{name}", {"fraud-detection:run": run}
    tags = [{"Key": key, "Value": value} for key, value in (tags | {"fraud-detection:data": url}).items()]
    s3.put_object(Bucket=bucket, Key=f"fraud-detection/{name}/model.tar.gz", Body=b"none")
    container = {"Image": "fraud-detect", "ModelDataUrl": f"{url}/model.tar.gz"}
    role = "arn:aws:iam::123456789012:role/local"
    variant = {"VariantName": "AllTraffic", "ModelName": name, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer=container, Tags=tags)
    if endpoint:
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
    for kind in ("Endpoint", "EndpointConfig", "Model"):
        assert f"deleting {kind} {mine.name}\n" in done.stdout
    assert left("mine") == []
    assert len(left("other")) == 3
    assert cleanup("--run", "mine") == 0
    assert capsys.readouterr().out == "nothing was left\n"
    assert cleanup("--older-than", "0m") == 0
    assert left("other") == []
    other.watch.end()


def test_a_tag_that_names_a_whole_bucket_has_nothing_emptied(bucket, tmp_path, capsys):
    other = deploy.connect("local", tmp_path / "neighbour")
    name = f"{stem('tagged')}-x"
    boto3.client("s3").put_object(Bucket=bucket, Key=f"fraud-detection/{other.name}/x")
    create("tagged", name, bucket, endpoint=False)
    arn = boto3.client("sagemaker").describe_model(ModelName=name)["ModelArn"]
    boto3.client("sagemaker").add_tags(
        ResourceArn=arn, Tags=[{"Key": "fraud-detection:data", "Value": f"s3://{bucket}"}]
    )
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


@contextlib.contextmanager
def denying(action):
    """The address of a server that passes everything on to the one in the environment, but refuses one action."""
    service, _, operation = action.partition(":")
    upstream = urlsplit(os.environ["AWS_ENDPOINT_URL"])

    class Proxy(http.server.BaseHTTPRequestHandler):
        def handle_request(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            in_s3 = "ListBucket" if "list-type=2" in self.path else "DeleteObject" if "?delete" in self.path else ""
            if (self.headers.get("X-Amz-Target", "").rpartition(".")[2] or in_s3) == operation:
                message = f"User: arn:aws:iam::1:user/x is not authorized to perform: {action} on resource: *"
                refusal = {"__type": "AccessDeniedException", "message": message}
                xml = f"<Error><Code>AccessDenied</Code><Message>{message}</Message></Error>"
                self.answer(403, {}, xml.encode() if service == "s3" else json.dumps(refusal).encode())
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
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{proxy.server_port}"
        proxy.shutdown()


def clean_denied(action, run, monkeypatch):
    """Clean a run up where one action is denied, and say what is left."""
    with denying(action) as address, monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", address)
        assert cleanup("--run", run) == 1
    return {thing.partition(" ")[0] for thing in left(run)}


@pytest.mark.parametrize(
    ("action", "stays"),
    [
        *((f"sagemaker:List{what}", set()) for what in ("TrainingJobs", "TransformJobs", "Models", "EndpointConfigs")),
        *(("sagemaker:ListEndpoints", set()), ("sagemaker:ListTags", set())),
        ("application-autoscaling:DeregisterScalableTarget", set()),
        ("sagemaker:DeleteModel", {"Model"}),
        ("sagemaker:DeleteEndpointConfig", {"EndpointConfig"}),
        ("sagemaker:DeleteEndpoint", {"Endpoint", "EndpointConfig", "Model"}),
    ],
)
def test_a_denied_action_keeps_no_other_step_from_being_taken(bucket, capsys, monkeypatch, action, stays):
    run = f"denied-{action.partition(':')[2][:12].lower()}"
    create(run, f"{stem(run)}-1124094810-d330", bucket)
    assert clean_denied(action, run, monkeypatch) == stays
    assert f"let the role do {action}" in capsys.readouterr().err
    assert cleanup("--run", run) == 0
    assert left(run) == []


@pytest.mark.parametrize("action", ["s3:ListBucket", "s3:DeleteObject"])
def test_data_that_must_not_be_deleted_keeps_no_endpoint(bucket, capsys, monkeypatch, action):
    run = f"denied-{action.partition(':')[2].lower()}"
    name = f"{stem(run)}-1124094810-d330"
    create(run, name, bucket)
    assert clean_denied(action, run, monkeypatch) == {f"fraud-detection/{name}/model.tar.gz"}
    assert f"let the role do {action}" in capsys.readouterr().err
    assert cleanup("--run", run) == 0


def test_things_of_all_runs_are_not_deleted_by_their_names_alone(bucket, capsys, monkeypatch):
    name = f"{stem('unread')}-1124094810-d330"
    create("unread", name, bucket)
    with denying("sagemaker:ListTags") as address, monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", address)
        assert cleanup("--older-than", "0m") == 1
    assert f"Endpoint {name}" in left("unread")
    assert cleanup("--run", "unread") == 0

"""Deployments against SageMaker on this machine, which runs the container's programs; and what happens when they fail.

The server is one that somebody runs: what a notebook leaves in it can be seen after the notebook's end.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import boto3
import botocore.session
import nbformat
import numpy as np
import pandas as pd
import psutil
import pytest
from botocore.exceptions import ClientError
from jupyter_client.manager import KernelManager

from fraud_utils import artifact, deploy
from fraud_utils import record as results
from fraud_utils.data import ULB, Schema, split_by_time
from fraud_utils.data.simulate import simulate_transactions
from fraud_utils.deploy import DeployError

ROOT = Path(__file__).resolve().parents[2]
HYPERPARAMETERS = {"imbalance": "undersample 1:10", "num_round": 20, "seed": 3}
CHOICE = {"hyperparameters": HYPERPARAMETERS, "thresholds": {"f1": 0.25}}
ENDLESS = CHOICE | {"hyperparameters": {"imbalance": "none", "num_round": 100_000, "seed": 3}}
LOCAL = {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server of its own: its process, its address in the environment, and the file of its log."""
    log = tmp_path_factory.mktemp("server") / "log"
    command = [sys.executable, "-m", "fraud_utils.local_sagemaker", "--ping-seconds", "6"]
    with log.open("w") as stream:
        process = psutil.Popen(command, stdout=stream, stderr=subprocess.STDOUT)
    while not (printed := log.read_text().splitlines()[:1]):
        assert process.poll() is None
        time.sleep(0.05)
    before = dict(os.environ)
    os.environ.update(LOCAL, AWS_ENDPOINT_URL=printed[0])
    yield process, log
    os.environ.clear()
    os.environ.update(before)
    process.terminate()
    assert process.wait(30) == 0


@pytest.fixture(scope="module")
def split():
    return split_by_time(simulate_transactions(5_000, fraud_rate=0.02, seed=1), ULB)


@pytest.fixture
def deployment(server, tmp_path):
    made = deploy.connect("local", tmp_path / "some run_1")
    yield made
    made.delete()


def begin(deployment, split, choice=CHOICE, **options):
    return deployment.train(choice, ULB, deployment.upload(split, ULB), **options)


def listed(run=""):
    """What there is on the server, of one run or of all: kinds and names, and keys in S3 but what is to stay."""
    session = boto3.Session()
    objects = [
        item["Key"]
        for bucket in session.client("s3").list_buckets()["Buckets"]
        for item in session.client("s3").list_objects_v2(Bucket=bucket["Name"]).get("Contents", [])
        if "/registered/" not in item["Key"] and "/captured/" not in item["Key"]
    ]
    return [name for _, name, _ in deploy._resources(session, run)] + [
        key for key in objects if deploy._stem(run) in key
    ]


def programs(process):
    """What runs below a process, by the words of its command."""
    return [word for child in process.children(recursive=True) for word in child.cmdline() if word.endswith(".py")]


# ------------------------------------------------------------------------------------------------ the whole way


def test_a_choice_becomes_a_model_an_endpoint_a_batch_of_scores_and_then_nothing(server, deployment, split):
    metrics = begin(deployment, split)
    folder = deployment.run_folder
    model = artifact.load(folder / "model")
    assert model.manifest["thresholds"] == {"f1": 0.25}
    assert model.manifest["training"]["rows"] == split.train_rows
    assert model.manifest["hyperparameters"]["num_round"] == 20
    artifact.unpack(folder / "model.tar.gz", folder / "unpacked")
    assert {path.name for path in (folder / "unpacked").iterdir()} == {"model.ubj", "manifest.json"}
    recorded = model.manifest["metrics"]
    assert metrics.value["round"] == 20
    assert metrics.value["validation_average_precision"] == pytest.approx(
        recorded["validation_average_precision"], abs=1e-6
    )

    deployment.serve()
    np.testing.assert_allclose(deployment.score(split.test), model.score(split.test), atol=1e-9)
    transformed = deployment.transform(f"{deployment.place}/test/")
    np.testing.assert_allclose(transformed, model.score(split.test), atol=1e-9)
    latency = deployment.latency_ms(split.test, count=20)
    assert 0 < latency["p50"] <= latency["p99"]
    with pytest.raises(DeployError, match=r"answered 400: .*V7"):
        deployment.score(split.test.drop(columns="V7"))
    assert {each.split()[0] for each in deployment.remaining()} >= {"Endpoint", "EndpointConfig", "Model"}
    assert "serve.py" in " ".join(programs(server[0]))

    assert deployment.delete()
    assert listed(deployment.run) == []
    assert programs(server[0]) == []


def test_options_of_the_endpoint_and_of_training(deployment, split):
    begin(deployment, split, spot=True)
    sagemaker, scaling = boto3.client("sagemaker"), boto3.client("application-autoscaling")
    job = sagemaker.describe_training_job(TrainingJobName=deployment.name)
    assert job["EnableManagedSpotTraining"]
    assert job["StoppingCondition"]["MaxWaitTimeInSeconds"] > job["StoppingCondition"]["MaxRuntimeInSeconds"]
    deployment.serve(count=2, capture=True)
    deployment.autoscale(4)
    (target,) = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 4)
    version = deployment.register("fraud", "as good as it gets")
    deployment.score(split.test)
    assert deployment.delete()
    assert not scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    s3 = boto3.client("s3")
    package = sagemaker.describe_model_package(ModelPackageName=version)
    assert package["ModelApprovalStatus"] == "PendingManualApproval"
    bucket, key = deploy._split_url(package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"])
    assert s3.head_object(Bucket=bucket, Key=key)["ContentLength"] > 1000  # it outlives the deployment
    captured = s3.list_objects_v2(Bucket=bucket, Prefix=f"fraud-detection/captured/{deployment.name}")["Contents"]
    line = json.loads(s3.get_object(Bucket=bucket, Key=captured[0]["Key"])["Body"].readline())
    assert line["captureData"]["endpointInput"]["observedContentType"] == "text/csv"


def test_a_serverless_endpoint_answers_in_parts_that_it_takes(deployment, split, monkeypatch):
    begin(deployment, split)
    deployment.serve(serverless=True, memory_mb=1024)
    config = boto3.client("sagemaker").describe_endpoint_config(EndpointConfigName=deployment.name)
    assert config["ProductionVariants"][0]["ServerlessConfig"]["MemorySizeInMB"] == 1024
    many = pd.concat([split.test] * 30, ignore_index=True)
    assert len(deployment.score(many)) == len(many)
    monkeypatch.setattr(deploy, "MOST_ROWS", 100_000)
    monkeypatch.setattr(deploy, "MOST_BYTES", 100_000_000)
    with pytest.raises(DeployError, match="at most 4194304 are taken"):
        deployment.score(many)


# ---------------------------------------------------------------------------------------------------- failures


def test_a_failing_training_says_what_the_program_left_in_its_failure_file(deployment, split):
    with pytest.raises(DeployError, match=r"training job failed: hyperparameter 'max_dept'.*did you mean 'max_depth'"):
        begin(deployment, split, CHOICE | {"hyperparameters": {"max_dept": 5}})
    assert not (deployment.run_folder / "model").exists()


def test_a_job_that_somebody_stops_leaves_no_model_that_could_be_taken_for_the_whole(server, deployment, split):
    def stop_when_training():
        sagemaker = boto3.client("sagemaker")
        while True:
            time.sleep(0.2)
            jobs = sagemaker.list_training_jobs(NameContains=deployment.name)["TrainingJobSummaries"]
            if jobs and "train.py" in " ".join(programs(server[0])) and jobs[0]["SecondaryStatus"] == "Training":
                time.sleep(2)
                return sagemaker.stop_training_job(TrainingJobName=deployment.name)

    thread = threading.Thread(target=stop_when_training)
    thread.start()
    with pytest.raises(DeployError, match="stopped before its end"):
        begin(deployment, split, ENDLESS)
    thread.join()
    assert not (deployment.run_folder / "model").exists()
    assert programs(server[0]) == []


def test_an_image_that_is_not_there_is_refused_before_anything_is_uploaded(server, tmp_path):
    image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/sagemaker-fraud-detect:abc"
    with pytest.raises(DeployError, match=r"not in the registry; push it with 'make push'"):
        deploy.connect("local", tmp_path / "no-image", image=image)
    assert listed("no-image") == []


def test_a_container_that_never_answers_ping_is_told_with_its_log(deployment, split):
    begin(deployment, split)
    with pytest.raises(DeployError, match=r"endpoint is Failed: .*ping health check"):
        deployment.serve(environment={"SAGEMAKER_BIND_TO_PORT": "1"})
    assert deployment.delete()


def test_a_damaged_model_is_not_served_and_its_log_says_why(deployment, split):
    begin(deployment, split)
    bucket, key = deploy._split_url(deployment.model_url)
    folder = deployment.run_folder
    (folder / "model" / "model.ubj").write_bytes(b"damaged")
    subprocess.run(["tar", "czf", folder / "bad.tar.gz", "-C", folder / "model", "."], check=True)
    boto3.client("s3").upload_file(str(folder / "bad.tar.gz"), bucket, key)
    with pytest.raises(DeployError, match=r"endpoint is Failed(.|\n)*SHA-256"):
        deployment.serve()


def test_a_value_too_long_for_sagemaker_is_refused_with_its_name(deployment, split):
    wide = Schema.from_dict(ULB.to_dict() | {"features": [f"a_long_name_{i}" for i in range(300)]})
    with pytest.raises(DeployError, match=r"'schema' is .* characters long; SageMaker takes 2500"):
        deployment.train(CHOICE, wide, {})


def test_what_is_missing_is_named_with_where_to_get_it(server, tmp_path, monkeypatch):
    with pytest.raises(DeployError, match="it is local or aws"):
        deploy.connect("moon", tmp_path)
    with pytest.raises(DeployError, match="none of ECR's"):
        deploy.connect("aws", tmp_path, image="fraud-detect")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(DeployError, match="no AWS region: set"):
        deploy.connect("aws", tmp_path)
    image = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-fraud-detect:1"
    with pytest.raises(DeployError, match="not in the registry"):
        deploy.connect("aws", tmp_path, region="eu-west-1", image=image)
    boto3.client("ecr", "eu-west-1").create_repository(repositoryName="sagemaker-fraud-detect")
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json", "layers": []}
    boto3.client("ecr", "eu-west-1").put_image(
        repositoryName="sagemaker-fraud-detect", imageManifest=json.dumps(manifest), imageTag="1"
    )
    with pytest.raises(DeployError, match="no role: outside of a notebook instance"):
        deploy.connect("aws", tmp_path, region="eu-west-1", image=image)
    role = "arn:aws:iam::123456789012:role/mine"
    made = deploy.connect("aws", tmp_path, region="eu-west-1", image=image, role=role)
    assert made.delete()
    place = boto3.client("s3", "eu-west-1").get_bucket_location(Bucket="sagemaker-eu-west-1-123456789012")
    assert place["LocationConstraint"] == "eu-west-1"  # the usual bucket, made because it was missing
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(DeployError, match=r"Unable to locate credentials(.|\n)*aws configure"):
        deploy.connect("aws", tmp_path, region="eu-west-1", image=image)


@pytest.mark.parametrize(
    ("code", "message", "advice"),
    [
        (
            "AccessDeniedException",
            "User: arn:aws:sts::1:assumed-role/x is not authorized to perform: sagemaker:CreateModel on resource: y",
            "let the role do sagemaker:CreateModel; container/policy.json",
        ),
        (
            "ResourceLimitExceeded",
            "The account-level service limit 'ml.m5.large for endpoint usage' is 0 Instances",
            "Service Quotas",
        ),
        ("ValidationException", "Requested image 1.dkr.ecr/x:y not found.", "make push"),
        ("ResourceInUse", "Training job names must be unique within an AWS account", "the name is taken"),
        ("ExpiredTokenException", "The security token included in the request is expired", "sign in again"),
        ("ValidationException", "Could not assume role arn:aws:iam::1:role/x", "may assume"),
    ],
)
def test_what_aws_says_becomes_what_to_do(code, message, advice):
    with pytest.raises(DeployError) as told, deploy._explained("starting"):
        raise ClientError({"Error": {"Code": code, "Message": message}}, "CreateTrainingJob")
    assert str(told.value).startswith(f"starting: {message}")
    assert advice in str(told.value)


@pytest.mark.parametrize("run", ["lab", "20261124-091500-ab12", "a.b_c", "_", "x" * 100, "-" * 9 + "é"])
def test_names_are_valid_on_aws_and_differ_by_run(run):
    shape = botocore.session.get_session().get_service_model("sagemaker").shape_for("TrainingJobName")
    name = f"{deploy._stem(run)}-1124094810-d330"
    assert re.fullmatch(shape.metadata["pattern"], name)
    assert len(name) <= shape.metadata["max"]
    assert deploy._stem("a.b") != deploy._stem("a_b")


# ------------------------------------------------------------------------------- notebooks that do not reach their end


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "small.csv"
    simulate_transactions(5_000, fraud_rate=0.02, seed=1).to_csv(path, index=False)
    return path


def run_folder(folder, run, choice=CHOICE):
    chosen = choice | {"name": "xgboost", "reason": "it is the only one"}
    models = [{"name": "xgboost", "test": {"average_precision": 0.7}}]
    results.add(folder / run, chosen=chosen, models=models)
    return folder / run


def start_notebook(folder, table, notebook=ROOT / "notebooks/03_deploy.ipynb", **environment):
    """Papermill on notebook 03; all that it starts is known by a mark in its environment."""
    mark = uuid.uuid4().hex
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "papermill", notebook, folder / "out.ipynb", "-k", "python3"),
            *("-p", "run_folder", folder, "-p", "data", table, "--no-progress-bar"),
        ],
        env=os.environ | {"MARK": mark} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    return process, mark


def marked(mark):
    """The processes that carry a mark."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("MARK") == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def kernel_of(mark):
    return next((each for each in marked(mark) if "ipykernel_launcher" in " ".join(each.cmdline())), None)


def wait_for(condition, seconds=90):
    until = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.1)
    return value


def cleanup(*arguments):
    command = [sys.executable, "-m", "fraud_utils.deploy", "cleanup", "--target", "local", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_a_failing_cell_deletes_what_was_made_before_the_kernel_ends(server, table, tmp_path):
    notebook = nbformat.read(ROOT / "notebooks/03_deploy.ipynb", 4)
    after = next(i for i, cell in enumerate(notebook.cells) if cell.id == "serve")
    notebook.cells.insert(after + 1, nbformat.v4.new_code_cell("1 / 0"))
    nbformat.write(notebook, tmp_path / "failing.ipynb")
    folder = run_folder(tmp_path, "failing-cell")
    process, mark = start_notebook(folder, table, tmp_path / "failing.ipynb")
    printed, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "ZeroDivisionError" in printed
    told = [o.text for c in nbformat.read(folder / "out.ipynb", 4).cells for o in c.get("outputs", []) if "text" in o]
    assert any("a cell failed or was interrupted: deleting" in text for text in told)
    assert listed("failing-cell") == []
    assert programs(server[0]) == []
    wait_for(lambda: not marked(mark))


def test_an_interrupt_during_training_stops_the_job_and_deletes(server, table, tmp_path):
    folder = run_folder(tmp_path, "interrupted", ENDLESS)
    process, mark = start_notebook(folder, table)
    wait_for(lambda: "train.py" in " ".join(programs(server[0])))
    time.sleep(3)
    process.send_signal(signal.SIGINT)  # as Ctrl-C in a terminal, to papermill alone
    process.communicate(timeout=60)
    wait_for(lambda: not marked(mark), 60)
    assert listed("interrupted") == []
    assert programs(server[0]) == []


def _status(kind, name):
    client = boto3.client("sagemaker")
    found = client.list_endpoints(NameContains=name)["Endpoints"] if kind == "Endpoint" else []
    return found[0]["EndpointStatus"] if found else ""


MOMENTS = {
    "uploading": lambda server, stem: listed_keys(stem),
    "training": lambda server, stem: "train.py" in " ".join(programs(server)),
    "endpoint starting": lambda server, stem: _status("Endpoint", stem) == "Creating",
    "endpoint in service": lambda server, stem: _status("Endpoint", stem) == "InService",
    "batch transform": lambda server, stem: boto3.client("sagemaker").list_transform_jobs(NameContains=stem)[
        "TransformJobSummaries"
    ],
}


def listed_keys(stem):
    s3 = boto3.client("s3")
    buckets = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    return [
        o for b in buckets for o in s3.list_objects_v2(Bucket=b, Prefix=f"fraud-detection/{stem}").get("Contents", [])
    ]


@pytest.mark.parametrize("moment", MOMENTS)
def test_killing_the_notebook_and_cleaning_up_leaves_nothing(server, table, tmp_path, moment):
    run = f"killed while {moment}"
    folder = run_folder(tmp_path, run)
    process, mark = start_notebook(folder, table)
    wait_for(lambda: MOMENTS[moment](server[0], deploy._stem(run)))
    kernel_of(mark).kill()
    process.communicate(timeout=60)
    done = cleanup("--run", run)
    assert done.returncode == 0, done.stdout + done.stderr
    wait_for(lambda: not marked(mark), 60)  # the keeper, which deletes by itself what cleanup did not come to
    assert listed(run) == []
    assert programs(server[0]) == []


def test_a_killed_notebook_is_cleaned_up_after_without_anybody_asking(server, table, tmp_path):
    folder = run_folder(tmp_path, "nobody asks")
    process, mark = start_notebook(folder, table)
    wait_for(lambda: MOMENTS["endpoint in service"](server[0], deploy._stem("nobody asks")))
    kernel_of(mark).kill()
    process.communicate(timeout=60)
    wait_for(lambda: not marked(mark), 60)
    assert listed("nobody asks") == []
    assert f"deleting Endpoint {deploy._stem('nobody asks')}" in (folder / "cleanup.log").read_text()


def test_an_interrupted_cell_deletes_and_its_kernel_lives_on(server, table, tmp_path):
    """As in JupyterLab, where somebody stops a cell and goes on."""
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    told = []

    def run(code):
        def keep(message):
            told.append(message["content"].get("text", ""))

        return client.execute_interactive(code, timeout=90, output_hook=keep)["content"]["status"]

    try:
        client.wait_for_ready(timeout=60)
        connect = f"from fraud_utils import deploy; d = deploy.connect('local', {str(tmp_path / 'interrupted-cell')!r})"
        assert run(connect) == "ok"
        assert run("import boto3; boto3.client('s3').put_object(Bucket=d.bucket, Key=f'{d.prefix}/{d.name}/x')") == "ok"
        assert len(listed("interrupted-cell")) == 1
        threading.Timer(2, manager.interrupt_kernel).start()
        assert run("import time; time.sleep(60)") == "error"
        assert "a cell failed or was interrupted: deleting" in "".join(told)
        assert listed("interrupted-cell") == []
        assert run("print('alive')") == "ok"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


CHOOSE = """\
from fraud_utils import record as results
models = [{"name": "xgboost", "test": {"average_precision": 0.7}}]
chosen = {"name": "xgboost", "reason": "-", "hyperparameters": {"num_round": 20}, "thresholds": {"f1": 0.25}}
results.add(run_folder, models=models, chosen=chosen)
"""


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_a_report_that_is_ended_in_the_middle_leaves_nothing_that_bills(server, table, tmp_path, end):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "pyproject.toml").write_text("")
    shutil.copytree(ROOT / "container", tmp_path / "container")
    shutil.copy(ROOT / "notebooks/03_deploy.ipynb", tmp_path / "notebooks")
    parameters = nbformat.v4.new_code_cell('run_folder: str = "runs/lab"', metadata={"tags": ["parameters"]})
    cells = [parameters, nbformat.v4.new_code_cell(CHOOSE)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "notebooks/02_choose.ipynb")
    command = [sys.executable, "-m", "fraud_utils.report", "--run", "ended", "--data", str(table)]
    mark = uuid.uuid4().hex
    process = subprocess.Popen(command, cwd=tmp_path, env=os.environ | {"MARK": mark}, start_new_session=True)
    wait_for(lambda: _status("Endpoint", deploy._stem("ended")) == "InService")
    process.send_signal(end)
    assert process.wait(30) == (130 if end == signal.SIGINT else -signal.SIGKILL)
    wait_for(lambda: not marked(mark), 60)
    assert listed("ended") == []
    assert programs(server[0]) == []


@pytest.mark.parametrize("program", ["train.py", "serve.py"])
def test_a_server_that_the_notebook_started_ends_with_it_and_all_it_runs(table, tmp_path, program, monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    folder = run_folder(tmp_path, "alone")
    process, mark = start_notebook(folder, table)
    wait_for(lambda: [each for each in marked(mark) if program in " ".join(each.cmdline())])
    os.killpg(process.pid, signal.SIGKILL)
    kernel_of(mark).kill()
    process.communicate(timeout=60)
    wait_for(lambda: not marked(mark), 40)
    assert "nothing is left of it" in cleanup("--run", "alone").stdout


# ------------------------------------------------------------------------------------------------------ cleanup


def test_cleanup_takes_a_runs_things_and_leaves_others_and_younger_ones(server, split, tmp_path):
    mine, other = (deploy.connect("local", tmp_path / run) for run in ("mine", "other"))
    begin(mine, split)
    mine.serve()
    kept = shlex.split(mine.keep())
    other.upload(split, ULB)
    tags = [{"Key": deploy.RUN_TAG, "Value": "mine"}, {"Key": deploy.PLACE_TAG, "Value": f"s3://{mine.bucket}"}]
    container = {"Image": "fraud-detect", "ModelDataUrl": mine.model_url}
    boto3.client("sagemaker").create_model(  # whose tag would have the whole bucket emptied
        ModelName=f"{deploy._stem('mine')}-x", ExecutionRoleArn=mine.role, PrimaryContainer=container, Tags=tags
    )
    try:
        assert cleanup().returncode == 2
        young = cleanup("--older-than", "1h")
        assert (young.returncode, young.stdout) == (0, "nothing was left\n")
        done = subprocess.run([sys.executable, *kept[1:]], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert cleanup("--run", "mine").stdout.startswith(f"deleting Model {deploy._stem('mine')}-x\n")
        for kind in ("Endpoint", "EndpointConfig", "Model"):
            assert f"deleting {kind} {mine.name}\n" in done.stdout
        assert listed("mine") == []
        assert len(other.remaining()) == 3
        assert cleanup("--run", "mine").stdout == "nothing was left\n"
        assert cleanup("--older-than", "0m").returncode == 0
        assert other.remaining() == []
    finally:
        mine.delete()
        other.delete()


def test_cleanup_without_an_account_says_what_to_do(tmp_path):
    bare = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    bare |= {"AWS_EC2_METADATA_DISABLED": "true", "HOME": str(tmp_path), "AWS_REGION": "eu-west-1"}
    command = [sys.executable, "-m", "fraud_utils.deploy", "cleanup", "--run", "x"]
    done = subprocess.run(command, capture_output=True, text=True, env=bare, timeout=60)
    assert done.returncode == 1
    assert "aws configure" in done.stderr
    assert "Traceback" not in done.stderr


# -------------------------------------------------------------------------------------------------------- words


def test_a_run_without_a_choice_is_refused(tmp_path):
    with pytest.raises(DeployError, match="run notebook 02 with the same run_folder first"):
        deploy.read_choice(tmp_path)
    chosen = CHOICE | {"name": "xgboost"}
    results.add(tmp_path, chosen=chosen, models=[{"name": "xgboost", "test": {"average_precision": 0.7}}])
    assert deploy.read_choice(tmp_path) == chosen | {"reached": 0.7}


def test_the_findings_say_whether_the_served_model_is_the_one_that_was_tested():
    choice, scores, latency = {"name": "xgboost", "reached": 0.7}, np.zeros(5), {"p50": 1.0, "p99": 2.0}
    assert "0.7000 on the test set, as in notebook 02" in deploy.describe(choice, scores, 0.0, 0.7, latency, True)
    assert "**not** the 0.7000" in deploy.describe(choice, scores, 0.0, 0.6, latency, True)
    assert "still there" in deploy.describe(choice, scores, 0.0, 0.7, latency, False)


def test_a_price_has_its_date_and_source():
    assert "about 0.230 USD an hour" in deploy.describe_price("ml.m5.large", 2)
    assert re.search(r"seen 20\d\d-\d\d-\d\d.*https://aws.amazon.com", deploy.describe_price("ml.m5.large"))
    assert "0.14 USD for an hour of answering" in deploy.describe_price("", serverless=True)
    assert "no price is noted for ml.x1.huge" in deploy.describe_price("ml.x1.huge")

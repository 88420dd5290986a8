"""What a user takes to AWS: the policy, and the notebook instance's start script."""

import fnmatch
import io
import json
import re
import subprocess

import boto3
import deployments
import papermill
import pytest
import states
from deployments import ALLOWED, POLICY, ROOT

from fraud_utils import record
from fraud_utils.deploy.place import REPOSITORY, stem

# What the recorded calls cannot show, and why it is needed.
UNSEEN = {
    "sagemaker:AddTags": "creating with tags asks for it",
    "sagemaker:StopTrainingJob": "only when something is cut short",
    "sagemaker:StopTransformJob": "only when something is cut short",
    "s3:AbortMultipartUpload": "only when something is cut short; seen below",
    "sagemaker:DescribeNotebookInstance": "only on a notebook instance",
    "sagemaker:UpdateEndpoint": "only where a live model is replaced; test_replace sees it",
    "sagemaker:UpdateEndpointWeightsAndCapacities": "Application Auto Scaling asks for it, and test_replace",
    "sagemaker:ListModelPackages": "only where model_version names a version; test_registry sees it",
    "sagemaker:DescribeModelPackage": "only where model_version names a version; test_registry sees it",
    "sagemaker:CreateHyperParameterTuningJob": "only with tune_jobs; test_tuning sees it",
    "sagemaker:DescribeHyperParameterTuningJob": "only with tune_jobs; test_tuning sees it",
    "sagemaker:ListTrainingJobsForHyperParameterTuningJob": "only with tune_jobs; test_tuning sees it",
    "sagemaker:StopHyperParameterTuningJob": "only when something is cut short",
    "cloudwatch:PutMetricAlarm": "Application Auto Scaling asks for it, and test_replace",
    "cloudwatch:DeleteAlarms": "Application Auto Scaling asks for it, and test_replace",
    "cloudwatch:TagResource": "making an alarm with tags asks for it",
    "cloudwatch:ListTagsForResource": "only where a live model is replaced; test_replace sees it",
    "logs:PutMetricFilter": "only where a live model is replaced; test_replace sees it",
    "logs:DeleteMetricFilter": "only where a live model is replaced; test_replace sees it",
    "iam:CreateServiceLinkedRole": "Application Auto Scaling asks for it, the first time in an account",
    "iam:PassRole": "handing a role to SageMaker asks for it",
    "cloudwatch:PutMetricData": "what jobs and endpoints do",
    "ecr:BatchCheckLayerAvailability": "what jobs and endpoints do, and make push",
    "ecr:BatchGetImage": "what jobs and endpoints do",
    "ecr:GetDownloadUrlForLayer": "what jobs and endpoints do",
    "ecr:GetAuthorizationToken": "make push",
    "ecr:CreateRepository": "make push",
    "ecr:DescribeRepositories": "make push",
    "ecr:InitiateLayerUpload": "make push",
    "ecr:UploadLayerPart": "make push",
    "ecr:CompleteLayerUpload": "make push",
    "ecr:PutImage": "make push",
    "sagemaker:DescribeEndpointConfig": "Application Auto Scaling asks for it",
    "ec2:CreateNetworkInterface": "what jobs and endpoints do in a company's subnets",
    "ec2:CreateNetworkInterfacePermission": "what jobs and endpoints do in a company's subnets",
    "ec2:DeleteNetworkInterface": "what jobs and endpoints do in a company's subnets",
    "ec2:DeleteNetworkInterfacePermission": "what jobs and endpoints do in a company's subnets",
    "ec2:DescribeDhcpOptions": "what jobs and endpoints do in a company's subnets",
    "ec2:DescribeNetworkInterfaces": "what jobs and endpoints do in a company's subnets",
    "ec2:DescribeSecurityGroups": "what jobs and endpoints do in a company's subnets",
    "ec2:DescribeSubnets": "what jobs and endpoints do in a company's subnets",
    "ec2:DescribeVpcs": "what jobs and endpoints do in a company's subnets",
    "dynamodb:GetItem": "an endpoint whose history is kept there",
    "dynamodb:PutItem": "an endpoint whose history is kept there",
    "kms:Decrypt": "reading what a company's key encrypts",
    "kms:DescribeKey": "using a company's key for volumes",
    "kms:Encrypt": "writing with a company's key",
    "kms:GenerateDataKey": "writing with a company's key",
    "kms:CreateGrant": "using a company's key for volumes",
}


def statements(action):
    as_list = [s["Action"] if isinstance(s["Action"], list) else [s["Action"]] for s in POLICY["Statement"]]
    return [s for s, allowed in zip(POLICY["Statement"], as_list, strict=True) if action in allowed]


@pytest.fixture(scope="module")
def recorded(server, log, table, tmp_path_factory):
    """The calls that notebook 03 makes with all its options, and what it records of the endpoint."""
    run = deployments.run_folder(tmp_path_factory.mktemp("recorded") / "run", deployments.choice(num_round=5))
    image = f"123456789012.dkr.ecr.us-east-1.amazonaws.com/{REPOSITORY}:1"
    ecr = boto3.client("ecr")
    ecr.create_repository(repositoryName=REPOSITORY)
    media = "application/vnd.docker.distribution.manifest.v2+json"
    manifest = json.dumps({"schemaVersion": 2, "mediaType": media, "layers": []})
    ecr.put_image(repositoryName=REPOSITORY, imageManifest=manifest, imageTag="1")
    boto3.client("iam").create_policy(PolicyName="fraud", PolicyDocument=json.dumps(POLICY))
    log.write_text("")  # from here on, only what the notebook does
    values = {"run_folder": str(run), "data": str(table), "target": "aws", "image": image}
    values |= {"register_in": "policy", "bucket": "sagemaker-policy"}  # which nobody before has made
    values |= {"role": "arn:aws:iam::123456789012:role/x", "spot": True, "capture": True, "autoscale_to": 3}
    notebook = str(ROOT / "notebooks/03_deploy.ipynb")
    papermill.execute_notebook(notebook, None, values, kernel_name="python3", progress_bar=False)
    calls = deployments.actions(log), log.read_text(), record.read(run).endpoint
    ecr.delete_repository(repositoryName=REPOSITORY, force=True)
    return calls


@pytest.mark.long
def test_the_policy_allows_what_the_notebook_does_and_nothing_that_nobody_needs(recorded):
    called, _, endpoint = recorded
    assert endpoint.deleted
    assert len(called) > 30
    assert called - ALLOWED == set()
    assert ALLOWED - called - UNSEEN.keys() == set()
    assert UNSEEN.keys() - ALLOWED == called & UNSEEN.keys() == set()


@pytest.mark.long
def test_the_policys_resources_hold_what_the_notebook_touches(recorded):
    keys = set(re.findall(r"s3 (?:PUT|GET|HEAD|POST) /([^/ ]+/[^? ]+)", recorded[1]))
    assert keys
    (objects,) = statements("s3:PutObject")
    assert not [key for key in keys if not fnmatch.fnmatch(f"arn:aws:s3:::{key}", objects["Resource"])]
    (resources,) = statements("sagemaker:CreateEndpoint")
    arn = f"arn:aws:sagemaker:eu-west-1:123456789012:endpoint/{stem('lab')}-1124094810-d330"
    assert any(fnmatch.fnmatch(arn, pattern) for pattern in resources["Resource"])
    (images,) = statements("ecr:PutImage")
    assert images["Resource"].endswith(f"repository/{REPOSITORY}")
    assert re.search(rf"^REPOSITORY \?= {REPOSITORY}$", (ROOT / "Makefile").read_text(), re.M)
    assert "sagemaker" in REPOSITORY


class Breaks(io.BytesIO):
    """A large file whose second half cannot be read."""

    def read(self, size=-1):
        if self.tell() > 20_000_000:
            raise OSError("the disk is gone")
        return super().read(size)


def test_the_parts_of_an_upload_that_breaks_off_may_be_deleted(deployment, log):
    log.write_text("")
    bucket, s3 = deployment.site.place.bucket, deployment.site.connection.s3
    with pytest.raises(OSError, match="the disk is gone"):
        s3.upload_fileobj(Breaks(bytes(40_000_000)), bucket, "fraud-detection/large")
    called = deployments.actions(log)
    assert "s3:AbortMultipartUpload" in called
    assert called - ALLOWED == set()
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_everything_is_allowed_on_named_resources_where_aws_has_names():
    anywhere = {a for a in ALLOWED if any(s["Resource"] == "*" and "Condition" not in s for s in statements(a))}
    rest = {
        a
        for a in anywhere
        if not re.match(r"sagemaker:List|application-autoscaling:|cloudwatch:.*Alarms?$|ec2:Describe", a)
    }
    assert rest == {"ecr:GetAuthorizationToken"}
    assert len(re.sub(r"\s", "", json.dumps(POLICY))) <= 6144  # what IAM takes


# ---------------------------------------------------------------------------------- the notebook instance


CONDA = """#!/bin/bash
# Stands for conda: writes down what it is asked, and takes until it is told to end.
echo "conda $*" >> "$ASKED"
[ "$1" = env ] || exit 0
while [ ! -e "$GO" ]; do sleep 0.05; done
while [ "$1" != --prefix ]; do shift; done
mkdir -p "$2/bin"
printf '#!/bin/bash\\necho "python $*" >> "$ASKED"\\n' > "$2/bin/python"
chmod +x "$2/bin/python"
"""


@pytest.fixture
def instance(tmp_path, monkeypatch):
    """A home as on a notebook instance, with a clone of the project, and a PATH with a sudo that changes no user."""
    home = tmp_path / "home"
    (home / "SageMaker/clone").mkdir(parents=True)
    for name in ("environment.yml", "requirements.lock"):
        (home / "SageMaker/clone" / name).write_bytes((ROOT / name).read_bytes())
    (home / "anaconda3/bin").mkdir(parents=True)
    (home / "anaconda3/bin/conda").write_text(CONDA)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/sudo").write_text('#!/bin/bash\n[ "$1 $2 $3" = "-u ec2-user -H" ] && shift 3 && exec "$@"\n')
    for path in (home / "anaconda3/bin/conda", tmp_path / "bin/sudo"):
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("ASKED", str(tmp_path / "asked"))
    monkeypatch.setenv("GO", str(tmp_path / "go"))
    return home


def start_instance():
    script = (ROOT / "container/on-start.sh").read_text()
    subprocess.run(["bash", "-c", script], check=True, timeout=states.HANGS, stdout=subprocess.DEVNULL)


def test_the_first_start_builds_in_the_background_and_later_ones_only_register_the_kernel(instance, tmp_path):
    asked, log = tmp_path / "asked", instance / "SageMaker/fraud-detection-setup.log"
    start_instance()  # comes back although conda has not: the build is in the background
    states.until(lambda: asked.exists() and "conda env create" in asked.read_text(), "a build")
    assert "ipykernel" not in asked.read_text()
    (tmp_path / "go").touch()
    states.until(lambda: "ready" in log.read_text(), "the kernel")
    environment = instance / "SageMaker/conda/fraud-detection"
    assert f"conda env create --yes --prefix {environment} --file environment.yml\n" in asked.read_text()
    kernel = "python -m ipykernel install --user --name fraud-detection --display-name fraud-detection\n"
    assert asked.read_text().endswith(kernel)
    asked.unlink()
    log.unlink()
    start_instance()
    states.until(lambda: log.exists() and "ready" in log.read_text(), "the kernel")
    assert "env create" not in asked.read_text()
    assert asked.read_text().endswith(kernel)
    asked.unlink()
    log.unlink()
    (instance / "SageMaker/clone/requirements.lock").write_text("another lock\n")
    start_instance()
    states.until(lambda: log.exists() and "ready" in log.read_text(), "the kernel")
    assert "env create" in asked.read_text()


def test_a_start_without_the_project_says_where_to_put_it(instance):
    (instance / "SageMaker/clone/environment.yml").unlink()
    start_instance()
    log = instance / "SageMaker/fraud-detection-setup.log"
    states.until(lambda: log.exists() and "clone the project there" in log.read_text(), "advice")


def test_the_start_script_is_within_sagemakers_limit():
    assert len((ROOT / "container/on-start.sh").read_text()) <= 16_384

"""What an endpoint runs: variants that share the traffic, and another configuration that takes the place of one."""

import pytest
from botocore.exceptions import ClientError
from deployments import asking
from states import until


@pytest.fixture(scope="module")
def runtime(local):
    return local.client("sagemaker-runtime")


@pytest.fixture(scope="module")
def row(split):
    return split.test.head(1).to_csv(index=False)


def variant(name, model, **more):
    return {"VariantName": name, "ModelName": model, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1} | more


def described(local, name):
    return local.sagemaker.describe_endpoint(EndpointName=name)


def updated(local, name):
    """The endpoint's description once no update goes on."""
    until(lambda: described(local, name)["EndpointStatus"] != "Updating", "the end of the update")
    return described(local, name)


def delete(local, name):
    """Delete an endpoint, and wait until it is gone."""
    local.sagemaker.delete_endpoint(EndpointName=name)
    until(lambda: not local.sagemaker.list_endpoints(NameContains=name)["Endpoints"], "the endpoint's end")


def test_variants_share_the_traffic_by_weight_and_can_be_asked_by_name(local, model, runtime, row):
    variants = [variant("old", model, InitialVariantWeight=1), variant("new", model, InitialVariantWeight=0)]
    local.create_config("beside", "", ProductionVariants=variants)
    local.create_endpoint("beside", "beside")

    def answering(**target):
        asked = {"EndpointName": "beside", "Body": row, "ContentType": "text/csv"} | target
        return {runtime.invoke_endpoint(**asked)["InvokedProductionVariant"] for _ in range(40)}

    def weigh(**weights):
        desired = [{"VariantName": name, "DesiredWeight": weight} for name, weight in weights.items()]
        local.sagemaker.update_endpoint_weights_and_capacities(
            EndpointName="beside", DesiredWeightsAndCapacities=desired
        )
        shown = updated(local, "beside")["ProductionVariants"]
        assert {each["VariantName"]: each["CurrentWeight"] for each in shown}.items() >= weights.items()

    assert answering() == {"old"}
    assert answering(TargetVariant="new") == {"new"}
    weigh(new=1)
    assert answering() == {"old", "new"}  # one time in 2 ** 39 it is not
    weigh(old=0)
    assert answering() == {"new"}
    with pytest.raises(ClientError, match="needs a DesiredWeight above 0"):
        weigh(new=0)
    with pytest.raises(ClientError, match="Variant other not found"):
        weigh(other=1)
    delete(local, "beside")


def test_an_endpoint_is_updated_without_a_lost_request_and_an_update_that_fails_leaves_it(local, model, runtime, row):
    artefact = local.sagemaker.describe_model(ModelName=model)["PrimaryContainer"]
    broken = artefact | {"Environment": {"SAGEMAKER_BIND_TO_PORT": "http"}}
    local.sagemaker.create_model(ModelName="broken", ExecutionRoleArn=local.role, PrimaryContainer=broken)
    for config, name in (("first", model), ("second", model), ("third", "broken")):
        local.create_config(config, "", ProductionVariants=[variant(config, name)])
    local.create_endpoint("live", "first")
    before = len(local.running("serve"))

    with asking(runtime, "live", row) as answering:
        local.sagemaker.update_endpoint(EndpointName="live", EndpointConfigName="second")
        with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
            local.sagemaker.update_endpoint(EndpointName="live", EndpointConfigName="first")
        with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
            local.sagemaker.delete_endpoint(EndpointName="live")
        new = updated(local, "live")
        assert (new["EndpointStatus"], new["EndpointConfigName"]) == ("InService", "second")
        assert [each["VariantName"] for each in new["ProductionVariants"]] == ["second"]
        until(lambda: answering[-1] == "second", "an answer of the new variant")
        assert len(local.running("serve")) == before  # the old one's programs have ended

        local.sagemaker.update_endpoint(EndpointName="live", EndpointConfigName="third")
        kept = updated(local, "live")
        assert (kept["EndpointStatus"], kept["EndpointConfigName"]) == ("InService", "second")
        assert "production variant third did not pass the ping health check" in kept["FailureReason"]
    assert list(dict.fromkeys(answering)) == ["first", "second"]

    local.sagemaker.update_endpoint(EndpointName="live", EndpointConfigName="first")
    assert "FailureReason" not in updated(local, "live")
    delete(local, "live")


def test_a_configuration_names_its_variants_apart_and_weighs_them(local, model):
    for variants, part in (
        ([variant("v", model), variant("v", model)], "each with its own name"),
        ([variant("v", model, InitialVariantWeight=0)], "needs an InitialVariantWeight above 0"),
        ([variant("v", "missing")], "Could not find model"),
    ):
        with pytest.raises(ClientError, match=part):
            local.create_config("odd", "", ProductionVariants=variants)
